"""The examples of runs in ``docs/teach.md``, and ``potoo teach``, against real models."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.integration.teach.test_runs import add_photos, finished
from tests.support.documents.documented import examples_of, run_example
from tests.support.processes.environment import clean_environment
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import CLASSES, drawn

DOCUMENT = "docs/teach.md"
SCOPES = "teach classify models:read"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", folder / "everyday")
    return folder


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("documented")
    with serve(folder, models=models, POTOO_TEACH__KEEP_FREE_BYTES="0") as live:
        yield live


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "bins"
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(10):
            (folder / label / f"{number}.png").write_bytes(drawn(label, number))
    (folder / CLASSES[0] / "torn.png").write_bytes(drawn(CLASSES[0], 0)[:500])
    (folder / CLASSES[1] / "same.png").write_bytes(drawn(CLASSES[0], 1))
    return folder


def teach(models: Path, data: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "teach", *map(str, arguments)]
    command += ["--models", str(models), "--data-dir", str(data)]
    environment = clean_environment()
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_curl_begins_a_run_and_lists_it(documented: LiveServer, tmp_path: Path) -> None:
    with documented.client(SCOPES) as caller:
        dataset = add_photos(caller, "bins", 5)
        (code,) = [one for one in examples_of(DOCUMENT, "Runs", "sh") if "curl" in one]
        printed = run_example(code, "sh", documented, documented.token("teach"), tmp_path)
        begun, listed = (json.loads(line) for line in printed.replace("}{", "}\n{").splitlines())
        assert listed["runs"][0]["id"] == begun["id"]
        done = finished(caller, f"{dataset}/runs/{begun['id']}")
        assert done["state"] == "done", done


def test_the_command_teaches_from_a_folder(models: Path, bins: Path, tmp_path: Path) -> None:
    report = tmp_path / "bins.html"
    options = ("--base", "everyday", "--report", report)
    ended = teach(models, tmp_path, bins, "--model", "shapes", *options)
    assert ended.returncode in {0, 3}, ended.stderr
    assert "published shapes 1 on everyday 1" in ended.stdout
    assert re.search(r"disc +10 ", ended.stdout)
    assert "torn.png" in ended.stderr
    assert "same photo" in ended.stderr
    assert report.read_text().startswith("<!doctype html>")
    card = (models / "shapes" / "1" / "README.md").read_text()
    assert "everyday 1" in card
    manifest = json.loads((models / "shapes" / "1" / "manifest.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("shapes", 1)
    assert manifest["base"]["tensor"] == "mean"
    assert manifest["labels"][:2] == ["disc", "stripes"]

    again = teach(models, tmp_path, bins, "--model", "shapes", "--base", "everyday", "--json")
    assert again.returncode in {0, 3}, again.stderr
    run = json.loads(again.stdout)
    assert (run["state"], run["version"]) == ("done", 2)
    assert not list((tmp_path / "teach" / "runs").glob("*"))


def test_the_command_compares_bases_and_publishes_nothing(
    models: Path, bins: Path, tmp_path: Path
) -> None:
    before = sorted(models.rglob("*"))
    ended = teach(models, tmp_path, bins, "--compare", "everyday,absent")
    assert ended.returncode == 0, ended.stderr
    _, everyday, absent = ended.stdout.splitlines()
    assert "%" in everyday
    assert "There is no model 'absent'" in absent
    assert sorted(models.rglob("*")) == before


def test_what_cannot_be_taught_is_one_line(models: Path, bins: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        ((tmp_path / "absent",), "there is no folder"),
        ((bins, "--base", "absent"), "There is no model 'absent'"),
        ((bins / "disc", "--base", "everyday"), "no labelled photos"),
        ((bins, "--base", "everyday", "--feature", "absent"), "no tensor 'absent'"),
    ):
        ended = teach(models, tmp_path, *arguments)
        assert ended.returncode == 1
        assert reason in ended.stderr
        assert ended.stderr.count("\n") <= 3
        assert "Traceback" not in ended.stderr
