"""The examples of ``docs/training.md``, on a real server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.documents.documented import examples_of, run_example
from tests.support.repository import ROOT
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import CLASSES, drawn

DOCUMENT = "docs/training.md"


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", models / "everyday")
    with serve(tmp_path_factory.mktemp("documented"), models=models) as live:
        yield live


def test_the_steps_of_a_federation_publish_a_version(
    documented: LiveServer, tmp_path: Path
) -> None:
    for site, label in zip(("north", "south"), CLASSES, strict=True):
        folder = tmp_path / "photos" / site / label
        folder.mkdir(parents=True)
        for number in range(12):
            (folder / f"{number}.png").write_bytes(drawn(label, number))
    program = tmp_path / "bin" / "potoo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
    program.chmod(0o755)
    models = BUNDLED_MODELS
    before = f"export PATH={program.parent}:{os.environ['PATH']} POTOO_MODELS={models}\n"
    before += f"export POTOO_DATA_DIR={tmp_path / 'data'}\n"
    printed = ""
    for code in examples_of(DOCUMENT, "One exchange of sums", "sh"):
        printed = run_example(before + code, "sh", documented, documented.token("train"), tmp_path)
    assert '"version":1' in printed
    with documented.client("classify") as caller:
        answer = caller.post(
            "/v1/classify",
            params={"model": "bins"},
            content=drawn("disc", 200),
            headers={"content-type": "image/png"},
        )
        assert answer.json()["predictions"][0]["label"] == "disc"


def test_a_worker_trains_a_line(documented: LiveServer, tmp_path: Path) -> None:
    (code,) = examples_of(DOCUMENT, "The parameter server", "python")
    printed = run_example(code, "python", documented, documented.token("train"), tmp_path)
    assert printed == "w = 3.00\n"
    text = (ROOT / DOCUMENT).read_text()
    assert f"prints `{printed.strip()}`" in text
