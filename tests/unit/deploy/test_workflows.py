"""CI workflows: they run `.ci/run` with minimal permissions."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yaml"))
WRITES = {"release.yaml": {"packages", "id-token", "attestations"}}
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return document


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job.get("steps", [])]


def test_tests_run_on_the_oldest_and_newest_supported_python() -> None:
    job = workflow("ci.yaml")["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    pythons = job["strategy"]["matrix"]["python"]
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert pythons[0] == oldest[1]
    # The Python version of the image is tested too.
    assert f"python:{pythons[-1]}-slim" in (ROOT / "Dockerfile").read_text()


def test_called_make_targets_exist() -> None:
    verbs = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = {
        verb
        for file in FILES
        for step in steps(file.name)
        for verb in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))
    }
    assert called == {"audit", "image"}
    assert called <= set(verbs)


def test_release_requires_passing_tests() -> None:
    jobs = workflow("release.yaml")["jobs"]
    assert jobs["check"]["uses"] == "./.github/workflows/ci.yaml"
    assert jobs["image"]["needs"] == "check"
    # YAML 1.1 reads `on` as true.
    assert "workflow_call" in workflow("ci.yaml")[True]  # type: ignore[index]


@each_file
def test_workflow_has_only_the_listed_write_permissions(file: Any) -> None:
    document = workflow(file.name)
    assert document["permissions"] == {"contents": "read"}
    written = {
        right
        for job in document["jobs"].values()
        for right, how in job.get("permissions", {}).items()
        if how != "read"
    }
    assert written == WRITES.get(file.name, set())


@each_file
def test_actions_are_pinned_and_persist_no_credentials(file: Any) -> None:
    for step in steps(file.name):
        if action := step.get("uses"):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action), action
            if action.startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@each_file
def test_run_steps_contain_no_expressions(file: Any) -> None:
    # A branch's name may contain shell code; an environment variable does not run it.
    for step in steps(file.name):
        assert "${{" not in step.get("run", "")


@each_file
def test_every_job_has_a_timeout(file: Any) -> None:
    for name, job in workflow(file.name)["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 120, name
