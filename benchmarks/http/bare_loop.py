"""The server's work without a server: decode, preprocess, run, top five, on a thread a core.

Runs as a process of its own, to measure its CPU time; prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.http.textbook import Prepare, textbook
from benchmarks.support import photo
from schemas.manifest.model_input import Dtype
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pool import usable_cores
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import probabilities, top_k
from service.core.imaging.preprocessing import Preprocessor, pixel_spec
from service.core.repository.version_files import read_manifest
from service.runtime.process import tune

KINDS = ("textbook", "better")


def better(folder: Path) -> Prepare:
    """Return the server's own preprocessing, for an engine that takes pixels where it can."""
    limits = ImageLimits(50_000_000, 1000, 2**28)
    spec = read_manifest(folder).image_input
    if spec.dtype is Dtype.FLOAT32:
        spec = pixel_spec(spec)
    preprocess = Preprocessor(spec, limits)
    return lambda data: preprocess(data).tensor


def loop(folder: Path, kind: str, data: bytes, *, seconds: float, threads: int) -> dict[str, float]:
    """Run the loop; return images per second and CPU milliseconds per image."""
    manifest = read_manifest(folder)
    prepare = {"textbook": textbook, "better": better}[kind](folder)
    engine = OnnxEngine(folder / "model.onnx", manifest, pixels=kind == "better")
    counts = [0] * threads
    stop = threading.Event()

    def work(number: int) -> None:
        while not stop.is_set():
            output = engine.run(prepare(data)[np.newaxis])
            shares = probabilities(output, manifest.output, manifest.temperature)[0]
            best = top_k(shares, 5)
            json.dumps({"index": best.tolist(), "score": shares[best].tolist()})
            counts[number] += 1

    tune()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    work_began, cpu_began = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    wall, cpu = time.perf_counter() - work_began, time.process_time() - cpu_began
    return {"per_second": sum(counts) / wall, "cpu_ms": 1000 * cpu / sum(counts)}


def run(folder: Path, kind: str, seconds: float, title: str = "") -> dict[str, float]:
    """Run the loop in a process of its own; ``title``: of the photo."""
    command = [sys.executable, "-m", "benchmarks.http.bare_loop", str(folder), kind]
    command += ["--seconds", str(seconds), "--photo", title]
    result: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


def main() -> None:
    """Run the loop of the command line, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="version folder of a model")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--photo", default="", help="title of a larger photo")
    arguments = parser.parse_args()
    data = photo.named(arguments.photo)
    result = loop(
        arguments.folder,
        arguments.kind,
        data,
        seconds=arguments.seconds,
        threads=arguments.threads,
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
