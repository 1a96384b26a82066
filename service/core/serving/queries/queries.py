"""Questions about the models that are served, for every transport."""

from __future__ import annotations

from collections.abc import Callable

from schemas.errors import ModelNotChosen
from schemas.http.inference import ModelConfig, ModelMetadata, ModelStatistics, RepositoryModel
from schemas.manifest.numeric import NumericSpec
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec
from schemas.models import ModelInfo, ModelList, ModelSummary
from schemas.serving import ModelVersion
from service.core.imaging.answer import ModelRef
from service.core.serving.model import Model
from service.core.serving.queries import description
from service.core.serving.queries.presenting import info_of, summary_of
from service.core.serving.registry import Registry


class ModelQueries:
    """Lists and descriptions of the served models."""

    def __init__(self, registry: Registry, max_tensor_batch: int) -> None:
        """``max_tensor_batch``: the maximum number of images or tensor items in one request."""
        self._registry, self._max_tensor_batch = registry, max_tensor_batch

    def resolve(self, model: str | None, version: int | str | None = None) -> ModelRef:
        """Return the name and version of the model that would answer.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: see ``issue_ticket``.
        """
        return self._get(model, version, lambda _: True).ref

    @property
    def default(self) -> ModelRef | None:
        """The loaded version that answers calls without a model name; None if there is none."""
        name = self._registry.default
        model = None if name is None else self._registry.default_version(name)
        return model.ref if model else None

    def labelled(self, name: str, label: str) -> int:
        """Return the version of a model that has a label.

        Raises:
            ModelNotFound: no such model, or no such label of it.
        """
        return self._registry.number_of(name, label)

    def models(self) -> ModelList:
        """List all known models, including those that failed to load."""
        return ModelList(models=[self._summary(name) for name in self._registry.names()])

    def model(self, name: str) -> ModelInfo:
        """Describe the default version of one model, and list its versions.

        Raises:
            ModelNotFound: no such model.
            NotReady: no version of it is loaded.
        """
        info = info_of(self._registry.find(name), default=name == self._registry.default)
        return info.model_copy(update={"versions": self.versions(name)})

    def versions(self, name: str) -> list[ModelVersion]:
        """List all versions of a model, the highest number first.

        Raises:
            ModelNotFound: no such model.
        """
        versions, labels = self._registry.versions(name), self._registry.labels(name)
        answers = self._registry.default_version(name)
        return [
            ModelVersion(
                version=number,
                state=version.state,
                default=answers is not None and version.model is answers,
                labels=sorted(label for label, meant in labels.items() if meant == number),
                reason=version.reason or None,
            )
            for number, version in reversed(versions.items())
        ]

    def metadata(self, name: str, version: int | str | None = None) -> ModelMetadata:
        """Describe a model's input and output tensors.

        Raises:
            ModelNotFound: no such model.
        """
        model = self._registry.find(name, version)
        there = self._registry.versions(name).items()
        return description.metadata(model, (number for number, one in there if one.model))

    def config(self, name: str, version: int | str | None = None) -> ModelConfig:
        """Return a model's tensors and batching as a Triton model configuration.

        Raises:
            ModelNotFound: no such model.
        """
        model = self._registry.find(name, version)
        return description.config(model, self._max_tensor_batch)

    def statistics(
        self, name: str | None = None, version: int | str | None = None
    ) -> list[ModelStatistics]:
        """Return request counts and durations of a model; of all loaded versions without a name.

        Raises:
            ModelNotFound: no such model.
        """
        models = self._registry if name is None else [self._registry.find(name, version)]
        return [description.statistics(model) for model in models]

    def index(self) -> list[RepositoryModel]:
        """List every known version of every model, and its state."""
        return [
            description.entry(name, number, version)
            for name in self._registry.names()
            for number, version in self._registry.versions(name).items()
        ]

    def answering(self) -> list[ModelRef]:
        """List the default version of every model; the default model first."""
        found = map(self._registry.default_version, self._registry.names())
        refs = [model.ref for model in found if model is not None]
        return sorted(refs, key=lambda ref: (ref != self.default, ref.name))

    def readiness(self) -> dict[str, bool]:
        """Return readiness by name, of the models that have a default version loaded."""
        served = map(self._registry.default_version, self._registry.names())
        return {model.ref.name: model.is_ready for model in served if model is not None}

    def numeric_spec(self, model: str | None, version: int | str | None = None) -> NumericSpec:
        """Return the rows that a model takes.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: see ``issue_ticket``.
            Unsupported: the model takes no rows of numbers.
        """
        return self._get(model, version, lambda _: True).manifest.numeric_input

    def text_spec(self, model: str | None, version: int | str | None = None) -> TextSpec:
        """Return the preprocessing of texts of a model.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: see ``issue_ticket``.
            Unsupported: the model takes no text.
        """
        return self._get(model, version, lambda _: True).manifest.text_input

    def series_spec(self, model: str | None, version: int | str | None = None) -> SeriesSpec:
        """Return the windows that a model takes to label them, and their preprocessing.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: see ``issue_ticket``.
            Unsupported: the model takes no windows of samples, or gives no labels.
        """
        manifest = self._get(model, version, lambda _: True).manifest
        manifest.require_labels()
        return manifest.series_input

    def _get(
        self, name: str | None, version: int | str | None, may_use: Callable[[str], bool]
    ) -> Model:
        try:
            return self._registry.get(name, version)
        except ModelNotChosen:
            raise ModelNotChosen([*filter(may_use, self._registry.names())]) from None

    def _summary(self, name: str) -> ModelSummary:
        """Build a model's entry of the model list."""
        is_default = name == self._registry.default
        model, versions = self._registry.default_version(name), self.versions(name)
        if model is not None:
            shown = summary_of(model, default=is_default)
            return shown.model_copy(update={"versions": versions})
        return ModelSummary(
            name=name,
            version=versions[0].version,
            description="",
            classes=0,
            ready=False,
            default=is_default,
            calibrated=False,
            versions=versions,
        )
