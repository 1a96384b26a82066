"""Published scalers: the models of a repository whose graph is one. Every method blocks."""

from __future__ import annotations

from schemas.errors import ModelNotFound
from schemas.manifest.numeric import NumericSpec
from schemas.models import MODEL_FILE
from schemas.preprocess.numeric import ScalerColumn, ScalerInfo
from service.core.numeric.scaler_graph import NoScaler, read_file
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import target
from service.core.repository.version_files import read_manifest


class ScalerCatalogue:
    """Descriptions of the scalers of a repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def list(self) -> list[ScalerInfo]:
        """Describe the version of each scaler that is to answer by default; sorted by name.

        Models that are no scalers, or cannot be read, are left out.
        """
        found = []
        for name in self._repository.names():
            try:
                found.append(self.get(name))
            except ModelNotFound:
                continue
        return found

    def get(self, name: str, version: int | None = None) -> ScalerInfo:
        """Describe one version of a scaler; None for the one that is to answer by default.

        Raises:
            ModelNotFound: there is no such scaler, or no such version of it, or its files are
                damaged.
        """
        try:
            versions = self._repository.versions(name)
            wanted = version or target(self._repository.policy(name), versions)
            folder = versions[wanted or 0]
            graph = read_file(folder / MODEL_FILE)
            manifest = read_manifest(folder)
        except (ModelRefused, KeyError, NoScaler, OSError) as error:
            raise ModelNotFound("There is no such scaler.") from error
        spec = manifest.input
        names = spec.column_names if isinstance(spec, NumericSpec) else ()
        offset, scale = graph.map.as_quotient()
        fill = [None] * offset.size if graph.map.fill is None else graph.map.fill.tolist()
        columns = zip(
            names or [""] * offset.size, offset.tolist(), scale.tolist(), fill, strict=True
        )
        return ScalerInfo(
            name=name,
            version=manifest.version,
            versions=list(versions),
            kind=graph.facts.kind,
            impute=graph.facts.impute,
            rows=graph.facts.rows,
            description=manifest.description,
            columns=[
                ScalerColumn(name=column, offset=shift, scale=factor, fill=filled)
                for column, shift, factor, filled in columns
            ],
        )
