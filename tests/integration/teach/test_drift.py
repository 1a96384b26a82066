"""Drift of a taught version on a server: photos like those shown, then others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.integration.teach.test_runs import SCOPES, add_photos, run
from tests.support.models.pictures import plain
from tests.support.servers.server import serve
from tests.support.teach.drawn import CLASSES, drawn

LEAST = 40


def classify(caller: httpx.Client, image: bytes) -> None:
    answer = caller.post(
        "/v1/classify?model=shapes", content=image, headers={"content-type": "image/png"}
    )
    answer.raise_for_status()


def drift(caller: httpx.Client) -> dict[str, Any]:
    (found,) = caller.get("/v1/models/shapes/drift").raise_for_status().json()["sources"]
    return dict(found)


def test_other_pictures_than_those_shown_are_drift(tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(BUNDLED_MODELS / "everyday", models / "everyday")
    with (
        serve(tmp_path, models=models, POTOO_DRIFT__MIN_ANSWERS=str(LEAST)) as live,
        live.client(SCOPES) as caller,
    ):
        dataset = add_photos(caller, "shapes", 20)
        assert run(caller, dataset, model="shapes")["state"] == "done"
        assert caller.get("/v1/models/shapes/drift").json()["sources"] == []
        for number in range(LEAST):
            classify(caller, drawn(CLASSES[number % 2], 500 + number))
        same = drift(caller)
        assert (same["source"], same["reference"], same["answers"]) == (
            "requests",
            "training",
            LEAST,
        )
        assert same["verdict"] in {"stable", "shifting"}
        assert {one["quantity"] for one in same["quantities"]} == {"score", "abstained", "unknown"}
        for number in range(2 * LEAST):
            classify(caller, plain((3 * number, 250 - 3 * number, 120)))
        assert drift(caller)["verdict"] == "drifted"
        assert caller.get("/v1/models/nothing/drift").status_code == 404


def test_drift_can_be_switched_off(tmp_path: Path) -> None:
    with (
        serve(tmp_path, models=BUNDLED_MODELS, POTOO_DRIFT__ENABLED="false") as live,
        live.client(SCOPES) as caller,
    ):
        refused = caller.get("/v1/models/everyday/drift")
        assert refused.status_code == 404
        assert "drift.enabled" in refused.json()["detail"]
