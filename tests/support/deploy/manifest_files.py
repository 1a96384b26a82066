"""The manifests in ``deploy/kubernetes``, as committed and as built by kustomize."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3] / "deploy/kubernetes"
PATCHES = frozenset(
    {
        "components/measured/replica.yaml",
        "components/sensors/port.yaml",
        "overlays/single/network.yaml",
        "overlays/single/no-disruption-budget.yaml",
        "overlays/single/one-replica.yaml",
    }
)
"""Patches, which are incomplete objects until they are applied."""
VALUES = frozenset({"components/hpa/prometheus-adapter-values.yaml"})
"""For Helm, not for Kubernetes."""

Object = dict[str, Any]


def committed() -> dict[str, list[Object]]:
    """The objects of every file by path, as committed; without patches and kustomizations."""
    apart = PATCHES | VALUES
    return {
        str(path.relative_to(ROOT)): objects(path.read_text())
        for path in sorted(ROOT.rglob("*.yaml"))
        if path.name != "kustomization.yaml" and str(path.relative_to(ROOT)) not in apart
    }


def objects(text: str) -> list[Object]:
    """The objects of a file or a stream."""
    return [one for one in yaml.safe_load_all(text) if one]


def only(kind: str, of: list[Object], name: str | None = None) -> Object:
    """The one object of a kind."""
    (found,) = [
        one
        for one in of
        if one["kind"] == kind and (name is None or one["metadata"]["name"] == name)
    ]
    return found


def kustomized(folder: Path) -> list[Object]:
    """The output of ``kubectl kustomize``; skips the test if no program can build it.

    It does not fail in CI, which has no kubectl: the committed files are checked there.
    """
    programs = {"kustomize": ["kustomize", "build"], "kubectl": ["kubectl", "kustomize"]}
    command = next((words for name, words in programs.items() if shutil.which(name)), None)
    if command is None:
        pytest.skip("there is neither kubectl nor kustomize on this machine")
    result = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return objects(result.stdout)


def env_file(path: str) -> dict[str, str]:
    """The variables of a file for a configMapGenerator."""
    lines = (ROOT / path).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
