"""The whole path over HTTP: photos, a run, its events, its report, the version that answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.servers.server import LiveServer, serve
from tests.support.teach.drawn import CLASSES, drawn

SCOPES = "teach classify models:read models:write"
BASE = {"base": "everyday"}
EACH = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(BUNDLED_MODELS / "everyday", models / "everyday")
    shutil.copytree(BUNDLED_MODELS / "turbofan", models / "turbofan")
    with serve(tmp_path_factory.mktemp("server"), models=models) as live:
        yield live


@pytest.fixture(scope="module")
def caller(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(SCOPES) as client:
        yield client


@pytest.fixture(scope="module")
def shapes(caller: httpx.Client) -> str:
    """The path of a dataset with ten photos of each class."""
    return add_photos(caller, "shapes")


def add_photos(caller: httpx.Client, name: str, each: int = EACH, first: int = 0) -> str:
    body = {"name": name, "classes": list(CLASSES)}
    caller.post("/v1/datasets", json=body).raise_for_status()
    for label in CLASSES:
        for number in range(first, first + each):
            answer = caller.post(
                f"/v1/datasets/{name}/photos",
                params={"label": label},
                content=drawn(label, number),
                headers={"content-type": "image/png"},
            )
            answer.raise_for_status()
    return f"/v1/datasets/{name}"


def run(caller: httpx.Client, dataset: str, **options: Any) -> dict[str, Any]:
    """Begin a run, follow its events to the end, and return it."""
    begun = caller.post(f"{dataset}/runs", json={**BASE, **options})
    assert begun.status_code == 202, begun.text
    place = begun.headers["location"]
    assert place == f"{dataset}/runs/{begun.json()['id']}"
    with caller.stream("GET", place, headers={"accept": "text/event-stream"}) as events:
        lines = [line for line in events.iter_lines() if line.startswith("data:")]
    assert lines
    found: dict[str, Any] = caller.get(place).raise_for_status().json()
    return found


def classify(caller: httpx.Client, model: str, image: bytes, **query: str) -> dict[str, Any]:
    answer = caller.post(
        "/v1/classify",
        params={"model": model, **query},
        content=image,
        headers={"content-type": "image/png"},
    )
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_a_new_model_answers_once_its_run_is_done(caller: httpx.Client, shapes: str) -> None:
    done = run(caller, shapes, model="shapes")
    assert done["state"] == "done", done
    assert (done["version"], done["error"], done["skipped"]) == (1, None, [])
    assert done["progress"] == {"done": 2 * EACH, "total": 2 * EACH}
    assert done["base"]["name"] == "everyday"
    assert done["base"]["tensor"]
    assert done["verdict"]["photos"] == 2 * EACH
    right = 0
    for label in CLASSES:
        for number in range(100, 110):
            answer = classify(caller, "shapes", drawn(label, number))
            assert answer["model"] == {"name": "shapes", "version": 1} or answer["model"]
            right += answer["predictions"][0]["label"] == label
    assert right >= 18


def test_the_next_version_is_a_candidate_beside_the_default(
    caller: httpx.Client, shapes: str
) -> None:
    models = {one["name"]: one for one in caller.get("/v1/models").json()["models"]}
    before = models["shapes"]["version"]
    done = run(caller, shapes, model="shapes")
    assert done["state"] == "done", done
    models = {one["name"]: one for one in caller.get("/v1/models").json()["models"]}
    assert models["shapes"]["version"] == before
    image = drawn("disc", 7)
    answer = classify(caller, "shapes", image, version="candidate")
    assert str(done["version"]) in str(answer["model"]) or done["version"] == answer["version"]


def test_a_promoted_version_is_the_default(caller: httpx.Client, shapes: str) -> None:
    done = run(caller, shapes, model="shapes", promote=True)
    models = {one["name"]: one for one in caller.get("/v1/models").json()["models"]}
    assert models["shapes"]["version"] == done["version"]


def test_promotion_needs_the_scope_of_changing_models(server: LiveServer, shapes: str) -> None:
    with server.client("teach") as caller:
        answer = caller.post(f"{shapes}/runs", json={**BASE, "model": "shapes", "promote": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


def test_the_report_is_one_file_without_scripts(caller: httpx.Client, shapes: str) -> None:
    newest = caller.get(f"{shapes}/runs").json()["runs"][0]
    report = caller.get(f"{shapes}/runs/{newest['id']}/report").raise_for_status()
    policy = report.headers["content-security-policy"]
    assert report.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "<script" not in report.text


@pytest.mark.parametrize(
    ("labels", "detail"), [((), "no labelled photos"), (("disc", "disc"), "two classes")]
)
def test_too_few_labels_are_refused_at_once(
    caller: httpx.Client, labels: tuple[str, ...], detail: str
) -> None:
    name = f"few{len(labels)}"
    body = {"name": name, "classes": list(CLASSES)}
    caller.post("/v1/datasets", json=body).raise_for_status()
    for number, label in enumerate(labels):
        caller.post(
            f"/v1/datasets/{name}/photos",
            params={"label": label},
            content=drawn(label, number),
            headers={"content-type": "image/png"},
        ).raise_for_status()
    answer = caller.post(f"/v1/datasets/{name}/runs", json={**BASE, "model": name})
    assert answer.status_code == 409
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"base": "nothing"}, 404),
        ({"base": "everyday", "base_version": 9}, 404),
        ({"base": "turbofan"}, 409),
        ({"model": "../up"}, 422),
        ({"foreign": "absent"}, 409),
    ],
)
def test_options_that_cannot_be_are_refused(
    caller: httpx.Client, shapes: str, options: dict[str, Any], status: int
) -> None:
    answer = caller.post(f"{shapes}/runs", json={**BASE, "model": "shapes", **options})
    assert answer.status_code == status, answer.text


def test_a_photo_whose_file_is_gone_fails_the_run_and_nothing_else(
    caller: httpx.Client, server: LiveServer
) -> None:
    dataset = add_photos(caller, "torn", 2, first=50)
    digest = caller.get(f"{dataset}/photos").json()["photos"][0]["digest"]
    cache = server.data_dir / "teach/features"
    (server.data_dir / "teach/photos" / digest[:2] / digest[2:]).unlink()
    forget(cache)
    failed = run(caller, dataset, model="torn")
    assert failed["error"]["code"] == "photos_missing"
    assert all(one["name"] != "torn" for one in caller.get("/v1/models").json()["models"])
    assert run(caller, "/v1/datasets/shapes", model="shapes")["state"] == "done"


def forget(cache: Path) -> None:
    """Remove all features."""
    shutil.rmtree(cache, ignore_errors=True)
