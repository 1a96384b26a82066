"""Versions come, answer, fail and go while a real server is asked without a pause."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from schemas.serving import POLICY_FILE
from service.core.publishing import drafting
from service.core.repository import Repository
from service.core.serving_policy import promoted
from tests.integration.accounts import add_device, add_person
from tests.integration.raw_http import wait_until
from tests.pictures import RED, plain
from tests.server import LiveServer, serve
from tests.tiny_model import write_model

ALL = "classify models:read models:write"
POLL = "0.1"


def labels_of(version: int) -> list[str]:
    return [f"{colour} {version}" for colour in ("red", "green", "blue")]


def publish(models: Path, spare: Path, version: int, **changes: object) -> None:
    """A version whose labels say which one it is, put in place as one step."""
    members = {"version": version, "labels": labels_of(version), **changes}
    with drafting(models, "colours", version) as draft:
        shutil.copytree(write_model(spare, None, **members), draft.folder, dirs_exist_ok=True)
        if changes.get("sha256"):  # no tool of ours would publish that
            shutil.copytree(draft.folder, models / "colours" / str(version))
        else:
            draft.publish()


class Shop:
    """A server on a repository that may be changed."""

    def __init__(self, server: LiveServer, models: Path, spare: Path) -> None:
        self.server, self.models, self.spare = server, models, spare
        self.client = server.client(ALL)

    def publish(self, version: int, **changes: object) -> None:
        publish(self.models, self.spare, version, **changes)

    def ask(self, **query: int) -> int:
        """The version that answers; its labels must be its own."""
        answer = self.client.post("/v1/classify", params=query, content=plain(RED), headers=PNG)
        body = answer.raise_for_status().json()
        version: int = body["model"]["version"]
        assert body["predictions"][0]["label"] == f"red {version}"
        return version

    def post(self, path: str, **query: str) -> httpx.Response:
        return self.client.post(f"/v1/models/{path}", params=query)

    def versions(self) -> dict[int, dict[str, Any]]:
        shown = self.client.get("/v1/models/colours").raise_for_status().json()
        return {version["version"]: version for version in shown["versions"]}

    def states(self) -> dict[int, str]:
        return {number: version["state"] for number, version in self.versions().items()}


PNG = {"content-type": "image/png"}


@contextmanager
def opened(folder: Path, *arguments: str) -> Iterator[Shop]:
    models, spare = folder / "models", folder / "spare"
    publish(models, spare, 1)
    with serve(folder, models=models, arguments=arguments, POTOO_MODELS_POLL_SECONDS=POLL) as live:
        shop = Shop(live, models, spare)
        with shop.client:
            yield shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


class Crowd:
    """Clients that ask without a pause, until they are told to stop."""

    def __init__(self, server: LiveServer, size: int = 4) -> None:
        self.versions: list[int] = []
        self.faults: list[str] = []
        self._over = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def saw(self, version: int) -> bool:
        return version in self.versions[-8:]

    def _ask(self) -> None:
        many = [("files", plain(RED))] * 3
        with self._server.client(ALL) as client:
            while not self._over.is_set():
                one = client.post("/v1/classify", content=plain(RED), headers=PNG)
                batch = client.post("/v1/classify/batch", files=many)
                for answer in (one, batch):
                    if answer.status_code != 200:
                        self.faults.append(answer.text)
                        continue
                    body = answer.json()
                    version = body["model"]["version"]
                    items = body.get("results", [{"result": body}])
                    if any(
                        item["result"]["predictions"][0]["label"] != f"red {version}"
                        for item in items
                    ):
                        self.faults.append(answer.text)
                    self.versions.append(version)


def test_swaps_under_load_lose_no_request_and_every_answer_is_of_one_version(shop: Shop) -> None:
    with Crowd(shop.server) as crowd:
        assert wait_until(lambda: crowd.saw(1))
        for version in (2, 3):
            shop.publish(version)
            assert wait_until(partial(crowd.saw, version))
        assert shop.post("colours/rollback").status_code == 200
        assert wait_until(lambda: crowd.saw(2) and not crowd.saw(3))
        assert shop.post("colours/versions/1/promote", label="stable").status_code == 200
        assert wait_until(lambda: crowd.saw(1) and not crowd.saw(2))
    assert crowd.faults == []
    assert set(crowd.versions) == {1, 2, 3}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ["one"]}, "manifest field labels"),
        ({"sha256": "0" * 64}, "manifest field sha256"),
        ({"input": {}}, "manifest field"),
        ({"golden": [{"file": "x.png", "predictions": [{"index": 0, "score": 1}]}]}, "golden[0]"),
    ],
    ids=["labels", "digest", "manifest", "golden"],
)
def test_a_version_that_fails_is_shown_and_the_old_one_goes_on(
    shop: Shop, changes: dict[str, object], reason: str
) -> None:
    folder = write_model(shop.spare, None, **{"version": 2, "labels": labels_of(2), **changes})
    with Crowd(shop.server, 2) as crowd:
        shutil.copytree(folder, shop.models / "colours/2")
        assert wait_until(lambda: shop.states().get(2) == "FAILED")
    assert crowd.faults == []
    assert set(crowd.versions) == {1}
    shown = shop.versions()
    assert reason in shown[2]["reason"]
    assert str(shop.models) not in json.dumps(shown)
    assert shown[1] == {
        "version": 1,
        "state": "READY",
        "default": True,
        "labels": [],
        "reason": None,
    }
    refused = shop.post("colours/versions/2/promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert shop.ask() == 1
    metrics = httpx.get(f"{shop.server.url}/metrics").text
    assert re.search(
        r'^potoo_model_version_state{.*state="FAILED",version="2"} 1', metrics, re.MULTILINE
    )
    assert re.search(
        r'^potoo_model_load_failures_total{model="colours"} [1-9]', metrics, re.MULTILINE
    )
    assert re.search(r'^potoo_model_ready{model="colours"} 1', metrics, re.MULTILINE)
    assert httpx.get(f"{shop.server.url}/readyz").status_code == 200


def test_versions_are_asked_for_by_number(shop: Shop) -> None:
    shop.publish(2)
    assert wait_until(lambda: shop.states() == {1: "UNLOADED", 2: "READY"})
    answer = shop.client.post("/v1/classify?version=1", content=plain(RED), headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    loaded = shop.post("colours/versions/1/load").json()
    assert [(each["version"], each["state"]) for each in loaded["versions"]] == [
        *((2, "READY"), (1, "READY"))
    ]
    assert [shop.ask(), shop.ask(version=1), shop.ask(version=2)] == [2, 1, 2]
    refused = shop.post("colours/versions/2/unload")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert shop.post("colours/versions/1/unload").status_code == 200
    assert wait_until(lambda: shop.states() == {1: "UNLOADED", 2: "READY"})


def test_a_promotion_by_another_process_is_taken_up(shop: Shop) -> None:
    repository = Repository(shop.models)
    repository.change_policy("colours", lambda policy: promoted(policy, 1, 1))
    shop.publish(2)
    assert wait_until(lambda: shop.states().get(2) == "UNLOADED")
    assert shop.ask() == 1
    repository.change_policy("colours", lambda policy: promoted(policy, 2, 1, label="stable"))
    assert wait_until(lambda: shop.ask() == 2)
    assert shop.versions()[2]["labels"] == ["stable"]


def test_every_worker_takes_a_promotion_up(tmp_path: Path) -> None:
    with opened(tmp_path, "--workers", "2") as shop:
        shop.publish(2)
        assert wait_until(lambda: {answers(shop) for _ in range(12)} == {2})
        assert shop.post("colours/rollback").status_code == 200
        assert wait_until(lambda: {answers(shop) for _ in range(12)} == {1})


def answers(shop: Shop) -> int:
    """The version that answers on a connection of its own: with several workers, of any of them."""
    answer = httpx.post(
        f"{shop.server.url}/v1/classify",
        content=plain(RED),
        headers=PNG | {"authorization": f"Bearer {shop.server.token(ALL)}"},
    )
    version: int = answer.raise_for_status().json()["model"]["version"]
    return version


def test_a_policy_nobody_can_read_changes_nothing(shop: Shop) -> None:
    (shop.models / "colours" / POLICY_FILE).write_text("{")
    assert wait_until(lambda: "policy cannot be read" in shop.server.events())
    refused = shop.post("colours/versions/1/promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert shop.ask() == 1


# Who may


def test_orders_need_their_scope_and_their_model(shop: Shop) -> None:
    orders = [f"colours/versions/1/{verb}" for verb in ("load", "unload", "promote")]
    reader = shop.server.token("models:read classify")
    device = add_device(shop.server, scopes=["models:read", "models:write"], models=["other"])
    stranger = device.sign_in()["access_token"]
    for order in (*orders, "colours/rollback"):
        url = f"{shop.server.url}/v1/models/{order}"
        codes = []
        for token in (None, reader, stranger):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = httpx.post(url, headers=headers)
            codes.append((answer.status_code, answer.json()["code"]))
        assert codes == [
            (401, "unauthenticated"),
            (403, "insufficient_scope"),
            (403, "model_forbidden"),
        ]
    assert shop.states() == {1: "READY"}


def test_why_a_version_failed_is_for_those_who_may_mend_it(shop: Shop) -> None:
    shutil.copytree(
        write_model(shop.spare, None, version=2, labels=["one"]), shop.models / "colours/2"
    )
    assert wait_until(lambda: shop.states().get(2) == "FAILED")
    person = add_person(shop.server).sign_in()
    headers = {"authorization": f"Bearer {person['access_token']}"}
    for path in ("/v1/models", "/v1/models/colours"):
        body = httpx.get(shop.server.url + path, headers=headers).json()
        versions = (body["models"][0] if "models" in body else body)["versions"]
        assert [version["reason"] for version in versions] == [None, None]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("colours/versions/9/promote", 404),
        ("colours/versions/9/load", 404),
        ("colours/versions/9/unload", 404),
        ("nothing/versions/1/promote", 404),
        ("nothing/rollback", 404),
        ("..%2Fcolours/versions/1/load", 404),
        ("colours/versions/0/load", 422),
        ("colours/versions/-1/load", 422),
        ("colours/versions/1.5/load", 422),
        ("colours/versions/99999999999999999999/load", 422),
        ("colours/versions/latest/load", 422),
        ("colours/versions/1/promote?label=latest", 422),
        ("colours/versions/1/promote?label=a/b", 422),
        ("colours/versions/1/promote?keep_default=perhaps", 422),
        ("colours/rollback", 409),
    ],
)
def test_orders_about_nothing_are_refused(shop_of_all: Shop, order: str, status: int) -> None:
    answer = shop_of_all.client.post(f"/v1/models/{order}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert shop_of_all.ask() == 1


@pytest.fixture(scope="module")
def shop_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def test_a_repository_that_may_not_be_written_takes_no_orders(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as shop:
        # A folder where the policy would be written stops root too.
        (shop.models / "colours" / POLICY_FILE).mkdir()
        refused = shop.post("colours/versions/1/promote")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert str(tmp_path) not in refused.text
        assert shop.ask() == 1
