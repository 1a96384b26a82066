"""A start imports only what its settings need: each optional package costs time and memory."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.process
START = """
import sys
from pathlib import Path
from service.app import create_app
from service.runtime.first_run import prepare
from service.settings import load_settings
from service.transport.http.server.running import run

settings = load_settings(data_dir=Path(sys.argv[1]))
prepare(settings)
create_app(settings).build_middleware_stack()
print(*sys.modules, sep="\\n")
"""
LIMITS = "limits"
DROP_IN = "service.transport.http.compat.tf_serving"
OPTIONAL = (
    *("alembic", "asyncpg", "google.protobuf", "grpc", "httpx", LIMITS, "matplotlib", "onnx"),
    *("opentelemetry.sdk", "paho", "psutil", "redis", "requests", "rich"),
    *("sqlalchemy.dialects.postgresql", "service.modeltools.imagenet.building"),
    *("service.transport.grpc.server.server", DROP_IN, "service.transport.http.compat.torchserve"),
    *("websockets", "service.transport.http.stream.session.session"),
    *("av", "paho.mqtt", "service.cameras.sources.opening", "tokenizers"),
    *("google_crc32c", "schemas.sensor_wire.frames", "service.transport.tcp.server"),
    *("service.sensors.opening", "service.sensors.ingest.intake", "service.sensors.store.tables"),
    "service.sensors.mqtt.opening",
    *("service.teach.datasets.opening", "service.teach.datasets.tables"),
)


def imported(data_dir: Path, **environment: str) -> set[str]:
    """The modules that a start has imported."""
    started = subprocess.run(
        [sys.executable, "-c", START, data_dir],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    return set(started.stdout.split())


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has been used before."""
    folder = tmp_path_factory.mktemp("start") / "data"
    first = imported(folder)
    assert "alembic" in first, "the first start makes the tables"
    return folder


@pytest.mark.parametrize("name", OPTIONAL)
def test_every_optional_package_is_installed(name: str) -> None:
    assert find_spec(name) is not None


def test_a_start_with_the_defaults_imports_no_optional_package(data_dir: Path) -> None:
    assert not imported(data_dir) & set(OPTIONAL)


def test_what_is_switched_on_is_imported(data_dir: Path) -> None:
    names = imported(
        data_dir,
        POTOO_AUTH__RATE_PER_ADDRESS="1000/minute",
        POTOO_COMPATIBILITY__TF_SERVING="true",
    )
    assert {LIMITS, DROP_IN} <= names
    assert "redis" not in names, "the counters are in memory"
