"""Photos worth a label on a server: of a camera, and of an account whose requests are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.cameras.snapshots import snapshot_camera
from tests.support.servers.server import serve
from tests.support.teach.drawn import drawn
from tests.support.waiting import wait_until

PNG = {"content-type": "image/png"}


def photos(client: httpx.Client) -> list[dict[str, Any]]:
    found = client.get("/v1/datasets/finds/photos", params={"labelled": False})
    return list(found.raise_for_status().json()["photos"])


def test_unsure_photos_are_kept_where_a_rule_says_so(tmp_path: Path) -> None:
    rules = [
        {"dataset": "finds", "cameras": ["door"], "accounts": ["admin"], "below": 1, "margin": 1}
    ]
    with (
        serve(tmp_path, models=BUNDLED_MODELS, POTOO_TEACH__KEEP=json.dumps(rules)) as live,
        live.client("teach classify cameras") as client,
    ):
        client.post("/v1/datasets", json={"name": "finds"}).raise_for_status()
        first, declined = drawn("disc", 1), drawn("disc", 2)
        answer = client.post("/v1/classify?model=everyday", content=first, headers=PNG)
        assert answer.headers["potoo-keep"] == "may"
        answer = client.post(
            "/v1/classify?model=everyday", content=declined, headers=PNG | {"potoo-keep": "no"}
        )
        assert "potoo-keep" not in answer.raise_for_status().headers
        assert wait_until(lambda: len(photos(client)) == 1)
        (kept,) = photos(client)
        assert (kept["source"], kept["labels"]) == ("answer", None)
        assert kept["answer"]["model"] == "everyday"
        with snapshot_camera() as camera:
            camera.show(drawn("stripes", 3))
            spec = {"name": "door", "url": camera.url, "every_seconds": 0.1, "model": "everyday"}
            client.post("/v1/cameras", json=spec).raise_for_status()
            assert wait_until(lambda: len(photos(client)) == 2)
            shown = httpx.get(f"{live.url}/metrics").text
            assert wait_until(
                lambda: (
                    'reason="duplicate",source="camera"' in httpx.get(f"{live.url}/metrics").text
                )
            )
            assert 'potoo_photos_kept_total{source="camera"' in shown
        assert len(photos(client)) == 2, "a camera that sees the same again keeps nothing"


def test_nothing_is_kept_without_a_rule(tmp_path: Path) -> None:
    with serve(tmp_path, models=BUNDLED_MODELS) as live, live.client("classify") as client:
        answer = client.post("/v1/classify?model=everyday", content=drawn("disc", 1), headers=PNG)
        assert "potoo-keep" not in answer.raise_for_status().headers
