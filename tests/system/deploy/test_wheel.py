"""The wheel is complete and works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow

ROOMS = {"auth", "client", "models", "observability", "schemas", "service"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as pip would lay it out."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], check=True
    )
    (wheel,) = folder.glob("potoo-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *arguments: str) -> str:
    """Output of ``potoo`` run only from the wheel's files."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "service", *arguments],
        cwd=unpacked.parent,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_wheel_contains_only_the_packages(unpacked: Path) -> None:
    found = {path.name for path in unpacked.iterdir() if path.suffix != ".dist-info"}
    assert found == ROOMS
    assert (unpacked / "service/web/swagger/LICENSE").exists()


def test_wheel_files_are_imported(unpacked: Path) -> None:
    program = "import service, sys; sys.stdout.write(service.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    place = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=unpacked.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert Path(place).is_relative_to(unpacked)


def test_installed_wheel_verifies_and_classifies(unpacked: Path) -> None:
    assert "everyday\t1\tok" in run(unpacked, "models", "verify")
    picture = BUNDLED_MODELS / "everyday/1/golden/stop-sign.png"
    assert "stop sign" in run(unpacked, "classify", "--model", "everyday", str(picture))
    assert "imagenet\t1\tok" in run(unpacked, "models", "list"), "built from the wheel's own files"


def test_installed_wheel_creates_tables_and_accounts(unpacked: Path, tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "data"))
    assert run(unpacked, "clients", "add", "camera", *place).startswith("pcs_")
    assert run(unpacked, "clients", "list", *place).startswith(
        "camera\tclassify models:read\tactive"
    )
