"""Resident memory by step of a start, in MiB: each import in a fresh process, then the model.

Later steps have what earlier ones imported, so the order is that of the server. The process is no
server: what a running one needs beyond (threads, connections, accounts) is the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]

IMPORTS = {
    "asyncio, TLS, logging": "asyncio, ssl, logging.config, email.message",
    "NumPy": "numpy",
    "Pillow": "PIL.JpegImagePlugin",
    "Pydantic": "pydantic.root_model, pydantic.types",
    "reading of settings": "pydantic_settings",
    "cryptography": "cryptography.hazmat.primitives.asymmetric.ec",
    "the settings' schemas": "service.settings",
    "FastAPI": "fastapi",
    "SQLAlchemy, core": "sqlalchemy",
    "SQLAlchemy's asyncio extension, with its mapper": "sqlalchemy.ext.asyncio",
    "token signatures": "auth.signing.tokens",
    "uvicorn and uvloop": "service.transport.http.server.running",
    "metrics and logs": "observability.metrics.metrics",
    "ONNX Runtime": "observability.onnx_runtime",
    "the rest of the application": "service.app, service.runtime.runtime",
}
"""Modules by step, in the order of a start."""
FILE = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)")
PACKAGE = re.compile(r"/site-packages/([^/]+?)(?:\.libs)?/")


def by_step(model: Path) -> dict[str, float]:
    """Measure in a process of its own; ``model``: the folder of a version."""
    command = [sys.executable, "-m", "benchmarks.event_loop.memory", str(model)]
    answer = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    found: dict[str, float] = json.loads(answer)
    return found


def by_origin(smaps: str) -> dict[str, float]:
    """Return the resident MiB of a process by origin: the packages of mapped files, or the heap.

    Args:
        smaps: the text of Linux's ``/proc/<pid>/smaps``.
    """
    found, origin = Counter[str](), ""
    for line in smaps.splitlines():
        if mapping := FILE.fullmatch(line):
            origin = _origin(mapping[1])
        elif line.startswith("Rss:"):
            found[origin] += int(line.split()[1])
    return {title: round(kib / 1024, 1) for title, kib in found.most_common()}


def _origin(path: str) -> str:
    if package := PACKAGE.search(path):
        return f"libraries of {package[1]}"
    if path.startswith("/"):
        return "libraries of Python and the system"
    return "heap" if path in {"", "[heap]"} else "stacks"


def _measured(model: Path) -> dict[str, float]:
    process = psutil.Process()
    steps = {"Python and this script": process.memory_info().rss / 2**20}

    def step(title: str, work: Callable[[], object]) -> None:
        before = process.memory_info().rss
        work()
        steps[title] = (process.memory_info().rss - before) / 2**20

    def load_modules(names: str) -> None:
        for name in names.split(", "):
            import_module(name)

    for title, names in IMPORTS.items():
        step(title, partial(load_modules, names))
    import numpy as np

    from service.core.engine.onnx_engine import OnnxEngine
    from service.core.repository.version_files import read_manifest

    manifest = read_manifest(model)
    image = np.zeros((1, *manifest.image_input.shape), np.float32)
    engines = []

    def load(lone_threads: int) -> None:
        engine = OnnxEngine(
            model / "model.onnx", manifest, lone_threads=lone_threads, worth_seconds=0
        )
        engine.run(image)
        engine.run(image, alone=True)
        engine.shrink()  # as the server does
        engines.append(engine)

    step("the model: one session, and a run", lambda: load(1))
    step("the same again, with the session for lone images", lambda: load(2))
    return {title: round(mebibytes, 1) for title, mebibytes in steps.items()}


if __name__ == "__main__":
    print(json.dumps(_measured(Path(sys.argv[1]))))
