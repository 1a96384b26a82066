"""The same work without a server: decode, preprocess, run, top five, on a thread a core.

Run as a process of its own, so that its CPU time can be read: prints one JSON line.
"""

from __future__ import annotations

import argparse
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import photo
from schemas.models import Colour, Dtype, InputSpec, Layout, ShorterSide
from service.core.engine import Images
from service.core.image_limits import ImageLimits
from service.core.onnx_engine import OnnxEngine
from service.core.pool import usable_cores
from service.core.postprocessing import probabilities, top_k
from service.core.preprocessing import Preprocessor
from service.core.repository import read_manifest
from service.process import tune

Prepare = Callable[[bytes], Images]


def textbook(spec: InputSpec) -> Prepare:
    """Preprocessing as tutorials write it: the whole image at every step, in float64-free NumPy."""
    assert isinstance(spec.resize, ShorterSide)
    pixels = spec.resize.pixels
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)

    def prepare(data: bytes) -> Images:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        scale = pixels / min(image.size)
        whole = (max(pixels, int(image.width * scale)), max(pixels, int(image.height * scale)))
        image = image.resize(whole, Image.Resampling.BILINEAR)
        left, upper = (whole[0] - spec.width) // 2, (whole[1] - spec.height) // 2
        image = image.crop((left, upper, left + spec.width, upper + spec.height))
        array = np.asarray(image)
        if spec.dtype is Dtype.UINT8:
            return array if spec.layout is Layout.NHWC else array.transpose(2, 0, 1)
        if spec.colour is Colour.BGR:
            array = array[:, :, ::-1]
        tensor: NDArray[np.float32] = (
            array.astype(np.float32) * np.float32(spec.scale) - mean
        ) / std
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))

    return prepare


def better(spec: InputSpec) -> Prepare:
    """The server's own preprocessing."""
    preprocess = Preprocessor(spec, ImageLimits(50_000_000, 1000, 2**28))
    return lambda data: preprocess(data).tensor


def loop(folder: Path, kind: str, seconds: float, threads: int) -> dict[str, float]:
    """Images per second and CPU milliseconds per image."""
    manifest = read_manifest(folder)
    prepare = {"textbook": textbook, "better": better}[kind](manifest.input)
    engine = OnnxEngine(folder / "model.onnx", manifest)
    data = photo.jpeg()
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


def main() -> None:
    """Reads the command line, prints the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="version folder of a model")
    parser.add_argument("kind", choices=["textbook", "better"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    print(json.dumps(loop(arguments.folder, arguments.kind, arguments.seconds, arguments.threads)))


if __name__ == "__main__":
    main()
