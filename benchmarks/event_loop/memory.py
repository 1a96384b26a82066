"""Resident memory by step of a start, in MiB: each import in a fresh process, then the model.

Later steps have what earlier ones imported, so the order is that of the server. The process is no
server: what a running one needs beyond (threads, connections, accounts) is the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import psutil

from benchmarks.subject import ROOT

IMPORTS = {
    "Pillow": "PIL.JpegImagePlugin",
    "Pydantic and the settings": "service.settings",
    "FastAPI": "fastapi",
    "SQLAlchemy": "sqlalchemy.ext.asyncio",
    "token signatures": "auth.signing.tokens",
    "uvicorn and uvloop": "service.transport.http.server.running",
    "metrics and logs": "observability.metrics",
    "ONNX Runtime": "observability.onnx_runtime",
    "the rest of the application": "service.app",
}


def by_step(model: Path) -> dict[str, float]:
    """Measure in a process of its own; ``model``: the folder of a version."""
    command = [sys.executable, "-m", "benchmarks.event_loop.memory", str(model)]
    answer = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    found: dict[str, float] = json.loads(answer)
    return found


def _measured(model: Path) -> dict[str, float]:
    process = psutil.Process()
    steps = {"Python, NumPy and this script": process.memory_info().rss / 2**20}

    def step(title: str, work: Callable[[], object]) -> None:
        before = process.memory_info().rss
        work()
        steps[title] = (process.memory_info().rss - before) / 2**20

    for title, module in IMPORTS.items():
        step(title, lambda: import_module(module))  # noqa: B023 - called at once
    from service.core.engine.onnx_engine import OnnxEngine
    from service.core.repository.version_files import read_manifest

    manifest = read_manifest(model)
    image = np.zeros((1, *manifest.input.shape), np.float32)
    engines = []

    def load(lone_threads: int) -> None:
        engine = OnnxEngine(
            model / "model.onnx", manifest, lone_threads=lone_threads, worth_seconds=0
        )
        engine.run(image)
        engine.run(image, alone=True)
        engines.append(engine)

    step("the model: one session, and a run", lambda: load(1))
    step("the same again, with the session for lone images", lambda: load(2))
    return {title: round(mebibytes, 1) for title, mebibytes in steps.items()}


if __name__ == "__main__":
    print(json.dumps(_measured(Path(sys.argv[1]))))
