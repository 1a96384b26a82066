"""Versions are loaded, swapped and removed on a server under continuous load."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path

import httpx
import pytest

from schemas.serving import POLICY_FILE
from service.core.repository.repository import Repository
from service.core.repository.serving_policy import promoted
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.model_shop import ALL, PNG, Crowd, Shop, labels_of, opened
from tests.support.waiting import wait_until


def test_version_swaps_under_load_lose_no_request(shop: Shop) -> None:
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
def test_failing_version_is_listed_while_the_old_one_serves(
    shop: Shop, changes: dict[str, object], reason: str
) -> None:
    folder = write_model(shop.spare, None, **{"version": 2, "labels": labels_of(2), **changes})
    with Crowd(shop.server, 2) as crowd:
        assert wait_until(lambda: crowd.saw(1)), "else it may end before anybody was answered"
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


def test_versions_are_requested_by_number(shop: Shop) -> None:
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


def test_versions_are_requested_by_label(shop: Shop) -> None:
    shop.publish(2)
    shop.post("colours/versions/1/promote", label="stable", keep_default="true")
    assert [shop.ask(), shop.ask(version="stable"), shop.ask(version=2)] == [2, 1, 2]
    one = shop.client.get("/v2/models/colours/versions/stable/ready")
    assert (one.status_code, one.json()) == (200, {"name": "colours", "ready": True})
    batch = shop.client.post("/v1/classify/batch?version=stable", files={"files": plain(RED)})
    assert batch.json()["model"] == {"name": "colours", "version": 1}
    shop.post("colours/versions/2/promote", label="stable", keep_default="true")
    assert shop.ask(version="stable") == 2
    metadata = "/v2/models/colours/versions/canary"
    for answer in (
        shop.client.post("/v1/classify?version=canary", content=plain(RED), headers=PNG),
        shop.client.get(metadata),
    ):
        assert answer.status_code == 404
        assert "No version of that model has that label." in answer.text


def test_promotion_by_another_process_takes_effect(shop: Shop) -> None:
    repository = Repository(shop.models)
    repository.change_policy("colours", lambda policy: promoted(policy, 1, 1))
    shop.publish(2)
    assert wait_until(lambda: shop.states().get(2) == "UNLOADED")
    assert shop.ask() == 1
    repository.change_policy("colours", lambda policy: promoted(policy, 2, 1, label="stable"))
    assert wait_until(lambda: shop.ask() == 2)
    assert shop.versions()[2]["labels"] == ["stable"]


def test_every_worker_follows_a_promotion(tmp_path: Path) -> None:
    with opened(tmp_path, "--workers", "2") as shop:
        shop.publish(2)
        assert wait_until(lambda: {answers(shop) for _ in range(12)} == {2})
        assert shop.post("colours/rollback").status_code == 200
        assert wait_until(lambda: {answers(shop) for _ in range(12)} == {1})


def answers(shop: Shop) -> int:
    """The default version seen on a new connection, of any worker."""
    answer = httpx.post(
        f"{shop.server.url}/v1/classify",
        content=plain(RED),
        headers=PNG | {"authorization": f"Bearer {shop.server.token(ALL)}"},
    )
    version: int = answer.raise_for_status().json()["model"]["version"]
    return version


def test_unreadable_policy_changes_nothing(shop: Shop) -> None:
    (shop.models / "colours" / POLICY_FILE).write_text("{")
    assert wait_until(lambda: "policy cannot be read" in shop.server.events())
    refused = shop.post("colours/versions/1/promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert shop.ask() == 1
