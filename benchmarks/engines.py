"""``python -m benchmarks.engines``: ONNX Runtime and OpenVINO on the same graphs, without a server.

Each engine loads each model in a process of its own, in turns, several rounds in one run. A run's
cost is CPU time of the whole process, so that what an engine's own threads spend counts, and the
least of many blocks of runs, so that other load on the machine counts little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.support import models, results
from benchmarks.support.subject import ROOT
from schemas.models import MANIFEST_FILE, MODEL_FILE
from service.core.engine.engine import Engine
from service.core.engine.providers import Precision, Provider, ProviderMissing, installed
from service.core.imaging.preprocessing import Preprocessor
from service.core.lifecycle.loading import open_engine
from service.core.repository.version_files import read_manifest
from service.core.settings import RunSettings
from service.modeltools.imagenet.int8 import LIMITS
from service.modeltools.imagenet.scenes import scenes
from service.modeltools.optimising.quantising import quantise
from service.modeltools.sources.built_in import put
from tests.support import repository

BUILT = ("imagenet", "imagenet-int8")
INT8 = f"{models.SHARED}, INT8"
"""As ``potoo models optimise`` writes it, but calibrated on drawings: its cost is the same."""
NAMES = (*BUILT, models.DEFAULT, models.SHARED, INT8, models.RESNET)
CALLERS = (1, 2)
BLOCKS, BLOCK_SECONDS = 12, 0.25
VARIANTS = {
    "onnxruntime": RunSettings(threads_alone=1),
    "openvino f32": RunSettings(provider=Provider.OPENVINO, threads_alone=1),
    "openvino bf16": RunSettings(
        provider=Provider.OPENVINO, threads_alone=1, precision=Precision.BF16
    ),
}

Sample = dict[str, float]
Samples = dict[str, dict[str, list[Sample]]]


def main() -> None:
    """Measure every model with every engine; print a table and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, variant = arguments.child
        print(json.dumps(_measure(Path(folder), VARIANTS[variant])))
        return
    if Provider.OPENVINO not in installed():
        sys.exit('OpenVINO is not installed (pip install "potoo[openvino]")')
    samples: Samples = {}
    with tempfile.TemporaryDirectory() as name, _folders(Path(name), arguments.models) as folders:
        for number in range(arguments.rounds):
            for model, folder in folders.items():
                print(f"round {number + 1} of {arguments.rounds}: {model}", file=sys.stderr)
                for variant in VARIANTS:
                    if sample := _in_a_process(folder, variant):
                        samples.setdefault(model, {}).setdefault(variant, []).append(sample)
    _print(samples)
    if not arguments.no_write:
        facts: dict[str, object] = {"openvino": version("openvino"), "samples": samples}
        print(f"written to {results.write('openvino', facts)}")


@contextmanager
def _folders(folder: Path, names: tuple[str, ...]) -> Iterator[dict[str, Path]]:
    """Put the models there are into ``folder``; yield the folder of each version."""
    found: dict[str, Path] = {}
    for name in names:
        if name in BUILT or name == models.DEFAULT:
            put(name, folder, lambda _: None, lambda line: print(line, file=sys.stderr))
        elif name == models.RESNET and models.missing(name) is None:
            models.add_resnet(folder)
        elif name == models.SHARED and models.missing(name) is None:
            repository.assemble(folder, (name,))
        elif name == INT8 and models.SHARED in found:
            found[name] = _quantised(found[models.SHARED], folder / "int8" / models.SHARED / "1")
            continue
        else:
            print(f"{name} is not on this machine", file=sys.stderr)
            continue
        found[name] = folder / name / "1"
    yield found


def _quantised(source: Path, target: Path) -> Path:
    """Write the INT8 version of a version folder."""
    manifest = read_manifest(source)
    prepare = Preprocessor(manifest.image_input, LIMITS)
    images = [prepare(scene).tensor[np.newaxis] for scene in scenes()]
    shutil.copytree(source, target)
    graph = target / MODEL_FILE
    graph.unlink()
    quantise(source / MODEL_FILE, graph, manifest.input.name, images, lambda *_: None)
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    described = manifest.model_copy(update={"sha256": digest})
    (target / MANIFEST_FILE).write_text(described.model_dump_json())
    return target


def _in_a_process(folder: Path, variant: str) -> Sample | None:
    """Measure in a new process; None if the engine refuses."""
    command = [sys.executable, "-m", "benchmarks.engines", "--child", str(folder), variant]
    printed = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout
    sample: Sample | None = json.loads(printed)
    return sample


def _measure(folder: Path, run: RunSettings) -> Sample | None:
    """Load the model as a server with two workers does, and run one image again and again."""
    manifest = read_manifest(folder)
    before = _memory_mib()
    began = time.perf_counter()
    try:
        engine = open_engine(folder, manifest, run, max(CALLERS))
    except ProviderMissing as error:
        print(error, file=sys.stderr)
        return None
    figures = {"load_seconds": time.perf_counter() - began}
    pixels = np.random.default_rng(0).integers(0, 256, (1, *manifest.image_input.shape), np.uint8)
    image = pixels.astype(manifest.image_input.dtype)
    for _ in range(3):
        began = time.perf_counter()
        engine.run(image)
        seconds = time.perf_counter() - began
    runs = max(1, round(BLOCK_SECONDS / seconds))
    for callers in CALLERS:
        blocks = [_block(engine, image, callers, runs) for _ in range(BLOCKS)]
        figures[f"cpu_ms_{callers}"] = min(cpu for cpu, _ in blocks)
        figures[f"wall_ms_{callers}"] = min(wall for _, wall in blocks)
    figures["memory_mib"] = _memory_mib() - before
    return figures


def _block(engine: Engine, image: np.ndarray, callers: int, runs: int) -> tuple[float, float]:
    """Run in several threads; return milliseconds of CPU a run, and the shortest run."""
    shortest = [float("inf")] * callers

    def work(caller: int) -> None:
        for _ in range(runs):
            began = time.perf_counter()
            engine.run(image)
            shortest[caller] = min(shortest[caller], time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(callers)]
    began = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.process_time() - began
    return 1000 * spent / (callers * runs), 1000 * min(shortest)


def _memory_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _print(samples: Samples) -> None:
    """Print the least of each figure over the rounds."""
    for model, variants in samples.items():
        keys = list(next(iter(variants.values()))[0])
        print(f"{model:<24}" + "".join(f"{key:>14}" for key in keys))
        for variant, rows in variants.items():
            least = [min(row[key] for row in rows) for key in keys]
            print(f"  {variant:<22}" + "".join(f"{value:>14.2f}" for value in least))


if __name__ == "__main__":
    main()
