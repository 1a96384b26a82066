"""Adds graphs to a repository as `potoo models add` does."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import onnx

from service.core.engine.pool import WorkerPool
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.settings import RunSettings
from service.modeltools.importing.importing import Imported, ImportOptions, import_model
from tests.support.models.tiny_model import colour_graph, image_limits


def check(folder: Path) -> None:
    from observability.metrics.metrics import Metrics

    pool = WorkerPool("check", 1)
    try:
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1))
        load_model(folder, pool, options, Metrics()).release()
    finally:
        pool.close()


def bring(
    tmp_path: Path, labels: Path, graph: onnx.ModelProto | None = None, **wanted: object
) -> Imported:
    """Import the colour model, or another graph, into ``tmp_path / "models"``."""
    file = tmp_path / "some.onnx"
    if graph is not None or not file.exists():
        file.write_bytes((graph or colour_graph()).SerializeToString())
    golden = tuple(map(str, cast("tuple[object, ...]", wanted.pop("golden", ()))))
    members: dict[str, object] = {"name": "colours", "labels": labels, "like": "0-1"}
    made = ImportOptions(golden=golden, **{**members, **wanted})  # type: ignore[arg-type]
    return import_model(file, made, tmp_path / "models", image_limits(), check)
