"""The work on windows without a server: normalise, run in batches, softmax, best class.

A thread a core, on windows in memory. Runs as a process of its own; prints one JSON line.
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

from benchmarks.streams.sensors import windows
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pool import usable_cores
from service.core.imaging.postprocessing import probabilities
from service.core.repository.version_files import read_manifest
from service.runtime.process import tune

BATCHES = (1, 8, 16)


def loop(folder: Path, batch: int, *, seconds: float, threads: int) -> dict[str, float]:
    """Run the loop; return windows per second and CPU milliseconds per window."""
    manifest = read_manifest(folder)
    engine = OnnxEngine(folder / "model.onnx", manifest)
    (std,) = manifest.series_input.std
    raw = [window.tobytes() for window in windows.samples()]
    counts = [0] * threads
    stop = threading.Event()

    def work(number: int) -> None:
        at = number
        while not stop.is_set():
            parts = []
            for _ in range(batch):
                values = np.frombuffer(raw[at % len(raw)], np.float32).reshape(-1, 1)
                parts.append(values.T if std == 1 else (values / np.float32(std)).T)
                at += 1
            output = engine.run(np.stack(parts))
            for shares in probabilities(output, manifest.output, manifest.temperature):
                best = int(shares.argmax())
                json.dumps({"label": manifest.labels[best], "score": float(shares[best])})
            counts[number] += batch

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


def run(folder: Path, batch: int, seconds: float) -> dict[str, float]:
    """Run the loop in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.streams.sensors.bare_loop", str(folder)]
    command += ["--batch", str(batch), "--seconds", str(seconds)]
    result: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


def main() -> None:
    """Run the loop of the command line, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="version folder of the model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    given = parser.parse_args()
    print(json.dumps(loop(given.folder, given.batch, seconds=given.seconds, threads=given.threads)))


if __name__ == "__main__":
    main()
