"""``/v1/datasets`` of a running server: photos, labels, imports, exports, access, limits."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import add_device, bearer
from tests.support.models.pictures import encoded, gradient, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.kit import archive, photo
from tests.support.waiting import wait_until

PATH = "/v1/datasets"
ZIP = {"content-type": "application/zip"}
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("teach")
    write_model(folder / "models")
    with serve(
        folder,
        models=folder / "models",
        POTOO_TEACH__MAX_IMPORT_BYTES=str(2**20),
        POTOO_TEACH__MAX_IMPORT_FILES="50",
        POTOO_TEACH__KEEP_FREE_BYTES="0",
    ) as live:
        yield live


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("teach") as client:
        yield client


@pytest.fixture
def bins(client: httpx.Client) -> Iterator[str]:
    """An empty dataset: its path."""
    body = {"name": "bins", "classes": ["glass", "paper"]}
    client.post(PATH, json=body).raise_for_status()
    yield f"{PATH}/bins"
    client.delete(f"{PATH}/bins")


def add(client: httpx.Client, bins: str, number: int, **query: str) -> dict[str, Any]:
    answer = client.post(f"{bins}/photos", content=photo(number), params=query, headers=PNG)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def test_a_photo_is_added_labelled_shown_and_removed(client: httpx.Client, bins: str) -> None:
    added = add(client, bins, 1, group="monday", captured="2026-11-30T14:05:00Z")
    assert (added["labels"], added["group"]) == (None, "monday")
    assert (added["captured"], added["source"]) == ("2026-11-30T14:05:00Z", "upload")
    path = f"{bins}/photos/{added['id']}"
    labelled = client.patch(path, json={"label": "Glass"}).json()
    assert (labelled["labels"], labelled["labelled_by"]) == (["glass"], "admin")
    assert client.get(path).json() == labelled
    image = client.get(f"{path}/image")
    assert (image.content, image.headers["content-type"]) == (photo(1), "image/png")
    small = client.get(f"{path}/image", params={"side": 16})
    assert small.headers["content-type"] == "image/jpeg"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == client.get(f"{path}/image").status_code == 404


def test_a_wrong_answer_becomes_a_labelled_photo(client: httpx.Client, bins: str) -> None:
    query = {"source": "answer", "label": "paper", "model": "bins", "version": "2"}
    added = add(client, bins, 1, answer="glass", score="0.8", **query)
    assert added["answer"] == {"model": "bins", "version": 2, "label": "glass", "score": 0.8}
    assert (added["source"], added["labels"]) == ("answer", ["paper"])
    again = client.post(f"{bins}/photos", content=photo(1), params={"label": "paper"}, headers=PNG)
    assert (again.status_code, again.json()["id"]) == (200, added["id"])


def test_photos_are_listed_in_pages(client: httpx.Client, bins: str) -> None:
    ids = [add(client, bins, number, label="glass")["id"] for number in range(3)]
    ids.append(add(client, bins, 9)["id"])
    page = client.get(f"{bins}/photos", params={"labelled": "true", "limit": 2}).json()
    assert ([one["id"] for one in page["photos"]], page["total"]) == ([ids[2], ids[1]], 3)
    rest = client.get(
        f"{bins}/photos", params={"labelled": "true", "limit": 2, "after": page["next"]}
    ).json()
    assert ([one["id"] for one in rest["photos"]], rest["next"]) == ([ids[0]], None)
    assert client.get(f"{bins}/photos", params={"order": "suspect"}).status_code == 409


def test_a_zip_file_comes_back_as_it_was_sent(client: httpx.Client, bins: str) -> None:
    jpeg = encoded(gradient((60, 40)), "JPEG")
    members = {"x/glass/1.png": photo(1), "x/Paper/2.jpg": jpeg, "x/paper/bad.jpg": b"no"}
    report = client.post(f"{bins}/import", content=archive(members), headers=ZIP).json()
    assert (report["added"], report["refused"], report["format"]) == (2, 1, "folders")
    assert report["merged_classes"] == [{"given": "Paper", "used": "paper"}]
    assert report["refused_files"][0]["code"] == "unsupported_image"
    exported = client.get(f"{bins}/export")
    assert exported.headers["content-type"] == "application/zip"
    assert 'filename="bins.zip"' in exported.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(exported.content)) as found:
        contents = {name: found.read(name) for name in found.namelist()}
    assert {photo(1), jpeg} < set(contents.values())
    assert sorted(name.split("/")[0] for name in contents) == ["glass", "labels.csv", "paper"]
    again = client.post(f"{bins}/import", content=exported.content, headers=ZIP).json()
    assert (again["added"], again["duplicates"], again["format"]) == (0, 2, "csv")
    text = client.get(f"{bins}/export", params={"format": "csv"}).text
    assert text.splitlines()[0].startswith("path,label,group,captured")
    tasks = client.get(f"{bins}/export", params={"format": "label-studio"}).json()
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["paper"]
    kept = client.post(f"{bins}/import", json=tasks).json()
    assert (kept["contradicted"], kept["labelled"]) == (1, 0)
    replaced = client.post(f"{bins}/import", params={"labels": "replace"}, json=tasks).json()
    assert (replaced["contradicted"], replaced["labelled"]) == (0, 1)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"no zip", ZIP, 400),
        (b"", ZIP, 400),
        (b"{}", {"content-type": "application/json"}, 400),
        (photo(1), PNG, 415),
        (archive({f"{number}.png": b"" for number in range(51)}), ZIP, 413),
        (b"x" * (2**20 + 1), ZIP, 413),
        (archive({"a/x.png": b"\0" * 2**19, "b/x.png": b"\0" * 2**19, "c": b"x"}), ZIP, 413),
    ],
    ids=["text", "empty", "object", "photo", "files", "bytes", "announced"],
)
def test_what_is_no_archive_within_the_limits_is_refused(
    client: httpx.Client, bins: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(f"{bins}/import", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get(bins).json()["photos"] == 0


def test_bad_input_is_refused_with_the_field(client: httpx.Client, bins: str) -> None:
    added = add(client, bins, 1)
    path = f"{bins}/photos/{added['id']}"
    for method, where, body, pointer in (
        ("POST", PATH, {"name": "Bad Name"}, "/body/name"),
        ("POST", PATH, {"name": "x", "classes": ["a", "A "]}, "/body/classes"),
        ("POST", PATH, {"name": "x", "max_photos": 10**9}, "/body/max_photos"),
        ("PATCH", path, {"label": "wood"}, "/body/label"),
        ("PATCH", path, {"labels": ["glass", "paper"]}, "/body/labels"),
        ("PATCH", path, {"label": "glass", "labels": []}, "/body"),
        ("PATCH", path, {}, "/body"),
        ("PATCH", bins, {"rename": {"wood": "tree"}}, "/body/rename"),
    ):
        answer = client.request(method, where, json=body)
        assert answer.status_code == 422, answer.text
        assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    for query in ({"label": "wood"}, {"version": "0"}, {"captured": "2026-11-30T14:05:00"}):
        answer = client.post(f"{bins}/photos", content=photo(2), params=query, headers=PNG)
        assert answer.status_code == 422, answer.text
    assert client.get(bins).json()["photos"] == 1


@pytest.mark.parametrize(
    ("image", "status"),
    [(b"no image", 415), (plain()[:60], 422), (plain(size=(9000, 9000)), 413)],
    ids=["text", "cut", "large"],
)
def test_a_photo_that_cannot_be_decoded_is_refused(
    client: httpx.Client, bins: str, image: bytes, status: int
) -> None:
    answer = client.post(
        f"{bins}/photos", content=image, headers={"content-type": "application/octet-stream"}
    )
    assert answer.status_code == status, answer.text


def test_unknown_datasets_are_not_found(client: httpx.Client) -> None:
    for method, rest in (
        *(("GET", ""), ("DELETE", ""), ("GET", "/photos"), ("GET", "/export")),
        *(("GET", f"/photos/{'0' * 20}"), ("GET", f"/photos/{'0' * 20}/image")),
        ("DELETE", f"/photos/{'0' * 20}"),
    ):
        assert client.request(method, f"{PATH}/none{rest}").status_code == 404, (method, rest)
    for rest, headers in (("/photos", PNG), ("/import", ZIP)):
        answer = client.post(f"{PATH}/none{rest}", content=photo(1), headers=headers)
        assert answer.status_code == 404


def test_other_scopes_do_not_do(server: LiveServer, client: httpx.Client, bins: str) -> None:
    added = add(client, bins, 1)
    device = bearer(add_device(server, scopes=["classify"]).sign_in()["access_token"])
    for path in (PATH, bins, f"{bins}/photos/{added['id']}/image", f"{bins}/export"):
        assert httpx.get(server.url + path).status_code == 401
        assert httpx.get(server.url + path, headers=device).status_code == 403


def test_what_happened_is_counted_and_in_the_security_log(
    server: LiveServer, client: httpx.Client, bins: str
) -> None:
    add(client, bins, 1, label="glass")
    client.post(f"{bins}/photos", content=b"no image", headers=PNG)
    client.get(f"{bins}/export")
    text = httpx.get(f"{server.url}/metrics").text
    for series in (
        'potoo_teach_photos_total{result="added",source="upload"}',
        'potoo_teach_photos_total{result="refused",source="upload"}',
        "potoo_teach_labels_total",
    ):
        (line,) = [line for line in text.splitlines() if line.startswith(series)]
        assert float(line.split()[-1]) >= 1
    assert "bins" not in text
    lines = [json.loads(line) for line in server.events().splitlines() if "dataset_" in line]
    kinds = {(line["event"], line["account"], line["dataset"]) for line in lines}
    assert {("dataset_added", "admin", "bins"), ("dataset_exported", "admin", "bins")} <= kinds


def test_a_killed_server_sweeps_what_it_left(tmp_path: Path) -> None:
    write_model(tmp_path / "models")
    with serve(tmp_path, models=tmp_path / "models") as live, live.client("teach") as client:
        client.post(PATH, json={"name": "bins"}).raise_for_status()
        added = add(client, f"{PATH}/bins", 1)
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
    photos = tmp_path / "data" / "teach" / "photos"
    orphan = photos / "ab" / ("c" * 62)
    orphan.parent.mkdir()
    orphan.write_bytes(b"without a row")
    with serve(tmp_path, models=tmp_path / "models") as live, live.client("teach") as client:
        assert wait_until(lambda: not orphan.exists())
        found = client.get(f"{PATH}/bins/photos").json()
        assert [one["id"] for one in found["photos"]] == [added["id"]]
        image = client.get(f"{PATH}/bins/photos/{added['id']}/image")
        assert image.content == photo(1)
        client.delete(f"{PATH}/bins").raise_for_status()
    assert not [path for path in photos.rglob("*") if path.is_file()]
