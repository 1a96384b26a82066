"""A fitted scaler as the files of a version: graph, manifest, golden rows."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from schemas.errors import Conflict
from schemas.manifest.model_output import OutputSpec
from schemas.manifest.numeric import NumericSpec
from schemas.models import MANIFEST_FILE, MODEL_FILE, GoldenValues, ModelManifest
from service.core.numeric.column_map import Rows
from service.core.numeric.scaler_graph import INPUT, OUTPUT, NoScaler, graph_bytes, read_file
from service.core.repository.publishing import Draft
from service.core.repository.repository import NoSuchModel, Repository
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.preprocess.scalers.fitting import FittedScaler

LICENCE = "of the data that it was fitted to"
GOLDEN_FILE = "rows.npy"
GOLDEN_TOLERANCE = 1e-12


def write_scaler(
    draft: Draft, repository: Repository, scaler: FittedScaler, description: str
) -> None:
    """Write the files of a scaler into a draft. Blocks.

    Raises:
        Conflict: there is a model of that name that is no scaler.
    """
    _require_scaler(repository, draft.name)
    data = graph_bytes(scaler.graph)
    (draft.folder / MODEL_FILE).write_bytes(data)
    golden = _write_golden(draft.folder, scaler)
    facts, columns = scaler.graph.facts, scaler.graph.map.columns
    manifest = ModelManifest(
        name=draft.name,
        version=draft.version,
        sha256=hashlib.sha256(data).hexdigest(),
        description=description or f"Scaler of {columns} columns, {facts.kind}.",
        labels=(),
        input=NumericSpec(kind="numeric", name=INPUT, columns=columns, column_names=scaler.columns),
        output=OutputSpec(name=OUTPUT, kind="values"),
        licence=LICENCE,
        source=f"fitted to {facts.rows} rows by potoo",
        golden_values=(golden,),
    )
    (draft.folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def golden_rows(scaler: FittedScaler) -> Rows:
    """Return rows that try every operator: around the middle of each column, far off, and NaN."""
    offset, scale = scaler.graph.map.as_quotient()
    rows = [offset, offset + scale, offset - 3 * scale, offset + 1e6 * scale]
    if scaler.graph.map.fill is not None:
        rows.append(np.full_like(offset, np.nan))
    return np.stack(rows)


def _write_golden(folder: Path, scaler: FittedScaler) -> GoldenValues:
    rows_NC = golden_rows(scaler)
    (folder / GOLDEN_FOLDER).mkdir()
    np.save(folder / GOLDEN_FOLDER / GOLDEN_FILE, rows_NC)
    values = scaler.graph.map(rows_NC).tolist()
    return GoldenValues(
        file=GOLDEN_FILE,
        values=tuple(
            tuple(None if math.isnan(number) else number for number in row) for row in values
        ),
        tolerance=GOLDEN_TOLERANCE,
    )


def _require_scaler(repository: Repository, name: str) -> None:
    """Raise ``Conflict`` if the newest version of a model is no scaler."""
    try:
        *_, newest = repository.versions(name).values()
    except NoSuchModel:
        return
    try:
        read_file(newest / MODEL_FILE)
    except (NoScaler, OSError):
        message = f"There is a model '{name}', and it is no scaler: choose another name."
        raise Conflict(message) from None
