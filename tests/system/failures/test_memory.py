"""Unloading a model returns its memory to the system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS

pytestmark = pytest.mark.slow

CYCLES = 50
SETTLED = 5
"""Cycles until memory is compared."""
LOAD_AND_UNLOAD = """
import asyncio, json, os, sys
from pathlib import Path

import psutil

from observability.metrics.metrics import Metrics
from service.core.scheduling.call_context import CallContext
from service.runtime.process import tune
from service.runtime.runtime import open_models, open_pool
from service.settings import load_settings

CYCLES = int(sys.argv[2])
call = CallContext("", 1, "test")
settings = load_settings(models=Path(sys.argv[1]))
photo = next(Path(sys.argv[1]).glob("everyday/1/golden/*")).read_bytes()
memory = psutil.Process().memory_info
one = 2**20


async def main():
    loaded, unloaded = [], []
    with open_pool(settings) as pool:
        for _ in range(CYCLES):
            async with open_models(settings, pool, Metrics()) as models:
                model = models.registry.get("everyday")
                for _ in range(4):
                    await model.classify(photo, 1, 1e12, call)
                loaded.append(memory().rss / one)
            unloaded.append(memory().rss / one)
    print(json.dumps({"loaded": loaded, "unloaded": unloaded}))


tune()
asyncio.run(main())
"""
SWAP = """
import asyncio, json, shutil, sys, tempfile
from pathlib import Path

import psutil

from observability.metrics.metrics import Metrics
from service.core.scheduling.call_context import CallContext
from service.runtime.process import tune
from service.runtime.runtime import open_models, open_pool
from service.settings import load_settings

source, cycles = Path(sys.argv[1]) / "everyday/1", int(sys.argv[2])
memory = psutil.Process().memory_info


def add(root, number):
    folder = root / "everyday" / str(number)
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": number}))


async def main(root):
    add(root, 1)
    resident = []
    settings, call = load_settings(models=root), CallContext("", 1, "test")
    photo = next((source / "golden").iterdir()).read_bytes()
    with open_pool(settings) as pool:
        async with open_models(settings, pool, Metrics()) as models:
            for number in range(2, cycles + 2):
                await models.registry.get(None).classify(photo, 1, 1e12, call)
                resident.append(memory().rss / 2**20)
                add(root, number)
                shutil.rmtree(root / "everyday" / str(number - 1))
                await models.refresh()
                await models.refresh()
                while len(list(models.registry)) > 1 or len(models.registry.versions("everyday")) > 1:
                    await asyncio.sleep(0.001)
                assert models.registry.get(None).ref.version == number
    print(json.dumps(resident))


tune()
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""


def run(program: str, models: Path = BUNDLED_MODELS) -> str:
    command = [sys.executable, "-c", program, str(models), str(CYCLES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_memory_after_fifty_load_cycles_stays_within_ten_percent(tmp_path: Path) -> None:
    for name in ("everyday", "turbofan"):
        shutil.copytree(BUNDLED_MODELS / name, tmp_path / name)
    found = json.loads(run(LOAD_AND_UNLOAD, tmp_path))
    loaded, unloaded = found["loaded"], found["unloaded"]
    assert len(loaded) == CYCLES
    # Not each worker thread has run a model after the first cycle.
    assert loaded[-1] <= 1.1 * max(loaded[:SETTLED]), loaded
    assert unloaded[-1] <= 1.1 * max(unloaded[:SETTLED]), unloaded
    assert unloaded[-1] < loaded[-1], found


def test_memory_of_tokenizers_reaches_a_limit() -> None:
    """A tokenizer is many small blocks: the C library's heaps fill for some twenty cycles.

    One that stayed would take 2 MiB and more each time.
    """
    loaded = json.loads(run(LOAD_AND_UNLOAD))["loaded"]
    assert max(loaded[-5:]) <= 1.1 * max(loaded[15:30]), loaded


def test_memory_after_fifty_version_swaps_stays_within_ten_percent() -> None:
    resident = json.loads(run(SWAP))
    assert len(resident) == CYCLES
    assert resident[-1] <= 1.1 * resident[0], resident
