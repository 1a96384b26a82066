"""The examples of datasets in ``docs/teach.md`` run against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents.documented import examples_of, run_example
from tests.support.models.pictures import blobs, encoded
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.kit import archive, photo

DOCUMENT = "docs/teach.md"


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("documented")
    write_model(folder / "models")
    with serve(folder, models=folder / "models", POTOO_TEACH__KEEP_FREE_BYTES="0") as live:
        yield live


def test_curl_adds_imports_lists_and_exports(documented: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encoded(blobs((64, 48)), "JPEG"))
    members = {"glass/1.png": photo(1), "paper/2.png": photo(2), "3.png": photo(3)}
    (tmp_path / "bins.zip").write_bytes(archive(members))
    (code,) = [one for one in examples_of(DOCUMENT, "Datasets", "sh") if "curl" in one]
    printed = run_example(code, "sh", documented, documented.token("teach"), tmp_path)
    text = printed.replace("}{", "}\n{")
    added, first, report, page = (json.loads(line) for line in text.splitlines())
    assert (added["name"], first["labels"]) == ("bins", ["glass"])
    assert (report["added"], report["refused"]) == (3, 0)
    assert page["total"] == 1
    assert len((tmp_path / "bins.csv").read_text().splitlines()) == 5
