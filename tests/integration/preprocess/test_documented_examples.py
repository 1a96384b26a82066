"""The examples of ``docs/preprocessing.md`` run against a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.documents.documented import examples_of, run_example
from tests.support.models.pictures import blobs
from tests.support.repository import ROOT
from tests.support.servers.server import LiveServer, serve

DOCUMENT = "docs/preprocessing.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples send."""
    made = tmp_path_factory.mktemp("examples")
    blobs((320, 240)).save(made / "photo.jpg", quality=90)
    return made


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the models of the examples."""
    folder = tmp_path_factory.mktemp("documented")
    shutil.copytree(ROOT / "models" / "everyday", folder / "models" / "everyday")
    with serve(folder, models=folder / "models") as live:
        yield live


def run_all(heading: str, language: str, server: LiveServer, folder: Path) -> str:
    token = server.token("preprocess models:write")
    codes = examples_of(DOCUMENT, heading, language)
    return "".join(run_example(code, language, server, token, folder) for code in codes)


def test_curl_prepares_an_image(documented: LiveServer, folder: Path) -> None:
    run_all("Images", "sh", documented, folder)
    assert np.load(folder / "photo.npy").shape == (1, 112, 112, 3)
    with Image.open(folder / "seen.png") as seen:
        assert seen.size == (112, 112)


def test_python_prepares_an_image(documented: LiveServer, folder: Path) -> None:
    printed = run_all("Images", "python", documented, folder)
    assert printed == "(1, 112, 112, 3) uint8 everyday@1\n"


def test_curl_prepares_many_items(documented: LiveServer, folder: Path) -> None:
    good, bad = run_all("Many items in one call", "sh", documented, folder).splitlines()
    assert good.startswith('{"id":"cat","result":{"model":{"name":"everyday","version":1}')
    assert '"code":"unsupported_image"' in bad


def test_python_prepares_many_items(documented: LiveServer, folder: Path) -> None:
    lines = run_all("Many items in one call", "python", documented, folder).splitlines()
    assert [line.partition(" (1, 112, 112, 3) ")[0] for line in lines] == ["0", "1", "2"]


def test_curl_fits_and_applies_a_scaler(documented: LiveServer, folder: Path) -> None:
    header, *rows = run_all("Numbers", "sh", documented, folder).splitlines()
    assert header == "age,fare"
    ages = [float(row.partition(",")[0]) for row in rows]
    # The missing age is the median, 35; mean and deviation are those of the three known ones.
    known = np.array([22, 38, 35])
    expected = (np.array([22, 38, 35, 35]) - known.mean()) / known.std()
    np.testing.assert_allclose(ages, expected, rtol=1e-12)


def test_python_scales_rows(documented: LiveServer, folder: Path) -> None:
    printed = run_all("Numbers", "python", documented, folder)
    assert f"# {printed}" in (ROOT / DOCUMENT).read_text()
