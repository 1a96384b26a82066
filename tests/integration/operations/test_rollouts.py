"""Shadow and canary on a server: the whole path, from the order to the end by rule."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.serving import POLICY_FILE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.model_shop import ALL, PNG, Shop, branch
from tests.support.waiting import wait_until

COLOURS = ["red", "green", "blue"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A server with version 1 as the default, and version 2, which takes red for green."""
    models, spare = tmp_path / "models", tmp_path / "spare"
    write_model(models, None, version=1, labels=COLOURS)
    write_model(models, None, version=2, labels=["green", "red", "blue"])
    (models / "colours" / POLICY_FILE).write_text('{"default": 1}')
    with branch(tmp_path, models) as live:
        shop = Shop(live, models, spare)
        shop.client = live.client(f"{ALL} teach infer")
        with shop.client:
            yield shop


def answers(shop: Shop, **query: int) -> int:
    answer = shop.client.post("/v1/classify", params=query, content=plain(RED), headers=PNG)
    version: int = answer.raise_for_status().json()["model"]["version"]
    return version


def begin(shop: Shop, **options: object) -> httpx.Response:
    return shop.client.put("/v1/models/colours/rollout", json=options)


def report(shop: Shop) -> dict[str, object]:
    found: dict[str, object] = (
        shop.client.get("/v1/models/colours/rollout").raise_for_status().json()
    )
    return found


def metrics(shop: Shop) -> str:
    return httpx.get(f"{shop.server.url}/metrics").text


def test_shadow_is_reported_and_ended(shop: Shop) -> None:
    begun = begin(shop, mode="shadow", version=2, share=1)
    assert begun.status_code == 200, begun.text
    assert begun.json()["missing"] == "50 more answers, to be judged"
    assert wait_until(lambda: answers(shop) == 1 and int(str(report(shop)["compared"])) >= 3)
    found = report(shop)
    assert (found["agreement"], found["mode"], found["version"]) == (0.0, "shadow", 2)
    assert 'potoo_rollout_share_ratio{mode="shadow",model="colours",version="2"} 1.0' in metrics(
        shop
    )
    assert shop.client.delete("/v1/models/colours/rollout").status_code == 204
    assert shop.client.delete("/v1/models/colours/rollout").status_code == 404
    gone = shop.client.get("/v1/models/colours/rollout")
    assert gone.status_code == 404
    assert "version 2 as a shadow, ended" in gone.json()["detail"]


def test_canary_answers_who_names_no_version(shop: Shop) -> None:
    assert begin(shop, mode="canary", version=2, share=1).status_code == 200
    assert answers(shop) == 2
    assert answers(shop, version=1) == 1
    raw = {"content-type": "application/octet-stream", "inference-header-content-length": "0"}
    asked = shop.client.post("/v2/models/colours/infer", content=plain(RED), headers=raw)
    head = asked.content[: int(asked.headers["inference-header-content-length"])]
    assert json.loads(head)["model_version"] == "2"
    promoted = shop.client.post("/v1/models/colours/versions/2/promote")
    assert promoted.status_code == 200
    assert shop.client.get("/v1/models/colours/rollout").status_code == 404
    assert answers(shop) == 2


def test_labelled_answers_roll_a_canary_back(shop: Shop) -> None:
    rules = {"min_answers": 10}
    assert begin(shop, mode="canary", version=2, share=1, rules=rules).status_code == 200
    for _ in range(12):
        assert answers(shop) == 2
    shop.client.post("/v1/datasets", json={"name": "corrections", "classes": COLOURS})
    for number in range(6):
        facts = {"source": "answer", "label": "red", "model": "colours", "answer": "green"}
        added = shop.client.post(
            "/v1/datasets/corrections/photos",
            params={**facts, "version": 2, "score": 0.9},
            content=plain((255, number, 0)),
            headers=PNG,
        )
        assert added.status_code == 201, added.text
    assert wait_until(lambda: answers(shop) == 1)
    gone = shop.client.get("/v1/models/colours/rollout").json()
    assert "version 2 as a canary, ended" in gone["detail"]
    assert "wrong answers" in gone["detail"]
    assert 'potoo_rollouts_ended_total{model="colours",reason="wrong_answers"} 1.0' in metrics(shop)
    stored = json.loads((shop.models / "colours" / POLICY_FILE).read_text())
    assert (stored["default"], stored["last_rollout"]["by"]) == (1, "rule")
    assert '"event":"rollout_ended"' in shop.server.events()


def test_orders_that_cannot_be_followed_are_refused(shop: Shop) -> None:
    assert begin(shop, mode="canary", version=1).status_code == 409
    assert begin(shop, mode="canary", version=7).status_code == 404
    for wrong in ({"share": 0}, {"share": 1.1}, {"mode": "blue"}, {"rules": {"min_answers": 0}}):
        assert begin(shop, **{"mode": "canary", "version": 2, **wrong}).status_code == 422
    shutil.copytree(shop.models / "colours/2", shop.models / "colours/3")
    manifest = json.loads((shop.models / "colours/3/manifest.json").read_text())
    manifest |= {"version": 3, "labels": ["one"]}
    (shop.models / "colours/3/manifest.json").write_text(json.dumps(manifest))
    assert begin(shop, mode="shadow", version=3).status_code == 409
    with shop.server.client("classify models:read") as reader:
        assert reader.put("/v1/models/colours/rollout", json={}).status_code == 403
        assert reader.get("/v1/models/other/rollout").status_code == 404
