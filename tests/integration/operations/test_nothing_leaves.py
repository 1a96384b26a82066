"""Nothing leaves the machine, and nothing is written into the home folder: no telemetry."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.core.engine.providers import Provider, installed
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.servers.server import PASSWORD, START_SECONDS, serve

FILTERED = (sys.executable, "-m", "tests.support.processes.no_lookups", sys.executable)
POTOO = ("-m", "service")
WITH_TELEMETRY = "import onnxruntime"
IMPORTS = (
    "observability.onnx_runtime",
    "benchmarks.peers.work",
    "tools.imagenet.features",
    "training.recipes.everyday.evaluate",
)
QUANTISE = """
from pathlib import Path
from service.modeltools.optimising.progress import NotOptimised
from service.modeltools.optimising.quantising import quantise
try:
    quantise(Path("nowhere"), Path("out"), "x", [], print)
except NotOptimised:
    print("ran")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environment(home: Path) -> dict[str, str]:
    """Environment with an empty home folder and without variables for cache folders."""
    kept = clean_environment(HOME=str(home), PYTHONPATH=str(ROOT), POTOO_ADMIN_PASSWORD=PASSWORD)
    return {name: value for name, value in kept.items() if not name.startswith("XDG_")}


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python without name look-ups, in the folder above ``home``."""
    return subprocess.run(
        [*FILTERED, *arguments],
        cwd=home.parent,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )


def written(home: Path) -> list[Path]:
    return list(home.rglob("*"))


def test_onnx_runtime_imported_directly_writes_into_the_home_folder(home: Path) -> None:
    """Check that the other tests can detect telemetry; on failure its mechanism has changed."""
    assert run(home, "-c", WITH_TELEMETRY).returncode == 0
    assert written(home)


@pytest.mark.parametrize("module", IMPORTS)
def test_every_import_of_onnx_runtime_leaves_the_home_folder_alone(home: Path, module: str) -> None:
    found = run(home, "-c", f"import sys, {module}; print('onnxruntime' in sys.modules)")
    assert (found.returncode, found.stderr) == (0, "")
    assert "True" in found.stdout
    assert not written(home)


def test_quantising_leaves_the_home_folder_alone(home: Path) -> None:
    assert run(home, "-c", QUANTISE).stdout == "ran\n"
    assert not written(home)


def test_commands_write_into_the_data_folder_alone(home: Path) -> None:
    models, photo = home.parent / "models", home.parent / "red.png"
    write_model(models)
    photo.write_bytes(plain(RED))
    where = ("--models", str(models))
    for verb in (
        ("classify", str(photo), *where),
        ("models", "verify", "colours", *where),
        ("models", "list", *where),
        ("config",),
    ):
        found = run(home, *POTOO, *verb)
        assert found.returncode == 0, found.stderr
        assert "onnxruntime" not in found.stderr
    assert not written(home)


def test_openvino_leaves_the_home_folder_alone_even_with_its_telemetry(home: Path) -> None:
    if Provider.OPENVINO not in installed():
        pytest.skip("the package openvino is not installed")
    (home.parent / "openvino_telemetry.py").write_text("raise SystemExit('it was imported')")
    write_model(home.parent / "models")
    program = (
        "import sys; from service.__main__ import main; sys.argv[0] = 'potoo'\n"
        "try: main()\n"
        "finally: print('openvino' in sys.modules)\n"
    )
    config = home.parent / "potoo.toml"
    config.write_text('[inference]\nprovider = "openvino"\n')
    where = ("--models", "models", "--config", "potoo.toml")
    found = run(home, "-c", program, "models", "verify", "colours", *where)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[-1] == "True", "the command runs what the settings name"
    assert not written(home)


@pytest.mark.slow
def test_server_looks_no_name_up_while_telemetry_would(tmp_path: Path, home: Path) -> None:
    write_model(tmp_path / "models")
    with (
        serve(
            tmp_path, FILTERED, models=tmp_path / "models", arguments=(), **environment(home)
        ) as server,
        server.client() as client,
    ):
        client.headers["content-type"] = "image/png"
        assert client.post("/v1/classify", content=plain(RED)).status_code == 200
        # Started later, so that the server has had more time than this process needs.
        lived = run(tmp_path / "other", "-c", f"{WITH_TELEMETRY}, time; time.sleep(60)")
        assert lived.returncode == -signal.SIGSYS
        assert client.post("/v1/classify", content=plain(RED)).status_code == 200
        records = [json.loads(line) for line in server.events().splitlines()]
        assert "onnxruntime" not in {record["logger"] for record in records}
    assert not written(home)
