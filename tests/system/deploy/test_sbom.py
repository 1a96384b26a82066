"""The SBOM, created by the real tool, lists all locked packages."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.servers.databases import missing

pytestmark = pytest.mark.slow

PROGRAM = ROOT / ".venv-supply" / "bin" / "cyclonedx-py"


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The SBOM of `make sbom`, written to another folder."""
    if not PROGRAM.exists():
        missing("cyclonedx-py (make supply)")
    dry = ["make", "--dry-run", "sbom", "PYTHON=python3"]
    printed = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (command,) = re.findall(r"^\S+cyclonedx-py(?:.*\\\n)*.*$", printed, re.MULTILINE)
    file = tmp_path_factory.mktemp("sbom") / "potoo.cdx.json"
    elsewhere = re.sub(r"--output-file \S+", f"--output-file {file}", command)
    subprocess.run(elsewhere, cwd=ROOT, shell=True, check=True, capture_output=True)  # noqa: S602 - as make does it
    found: dict[str, Any] = json.loads(Path(file).read_text())
    return found


def test_sbom_describes_potoo(sbom: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sbom["bomFormat"] == "CycloneDX"
    component = sbom["metadata"]["component"]
    assert (component["name"], component["version"]) == (project["name"], project["version"])
    assert component["licenses"][0]["license"]["id"] == project["license"]


def test_sbom_lists_every_locked_package_with_hashes(sbom: dict[str, Any]) -> None:
    lock = (ROOT / "requirements.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.MULTILINE))
    parts = sbom["components"]
    assert len(locked) > 50
    assert {(part["name"], part["version"]) for part in parts} == locked
    for part in parts:
        assert part["purl"].startswith(f"pkg:pypi/{part['name']}@{part['version']}")
        assert any(reference["hashes"] for reference in part["externalReferences"])
