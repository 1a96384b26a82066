"""KServe's V1 protocol, called as its documentation and its own client call it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.clients.running import facts
from tests.support.callers.tensors import images, refused
from tests.support.models.pictures import GREEN, RED, plain
from tests.support.servers.drop_in import SCOPES, b64
from tests.support.servers.server import LiveServer, serve

PREDICT = "/v1/models/colours:predict"


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with only this protocol enabled."""
    folder = tmp_path_factory.mktemp("kserve")
    with serve(folder, models=colours, POTOO_COMPATIBILITY__KSERVE_V1="true") as live:
        yield live


@pytest.fixture(scope="module")
def v1(kserve: LiveServer) -> Iterator[httpx.Client]:
    with kserve.client(SCOPES) as client:
        yield client


def test_kserve_v1_client_works(kserve: LiveServer) -> None:
    array = images(2)
    found = facts(
        "kserve_v1",
        url=kserve.url,
        token=kserve.token(SCOPES),
        model="colours",
        asked={"tensors": array.tolist(), "images": [b64(plain(RED))]},
    )
    assert found["model ready"] is True
    assert "'404" in found["other ready"]
    assert np.allclose(found["tensors"], 10 * array.mean((2, 3)), rtol=1e-5)
    assert np.allclose(found["images"], [[10, 0, 0]], atol=1e-3)
    assert found["unknown"].startswith("No model of that name is served., '404")
    assert found["unfit"].startswith("The input 'image' is FP32 of shape")
    assert found["no token"].startswith("A valid access token is needed., '401")


def test_tensor_instances_return_predictions(v1: httpx.Client) -> None:
    array = images(2)
    answer = v1.post(PREDICT, json={"instances": array.tolist()})
    assert list(answer.json()) == ["predictions"]
    assert np.allclose(answer.json()["predictions"], 10 * array.mean((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("name", [None, "image_bytes", "image"])
def test_image_instances_return_predictions(v1: httpx.Client, name: str | None) -> None:
    files = [b64(plain(RED)), b64(plain(GREEN))]
    rows = [{name: file} if name else file for file in files]
    answer = v1.post(PREDICT, json={"instances": rows})
    assert np.allclose(answer.json()["predictions"], [[10, 0, 0], [0, 10, 0]], atol=1e-3)


def test_model_reports_its_readiness(v1: httpx.Client) -> None:
    answer = v1.get("/v1/models/colours")
    assert answer.status_code == 200
    assert {"name": "colours", "ready": True}.items() <= answer.json().items()
    assert v1.get("/v1/models/nope").status_code == 404


def test_errors_have_the_kserve_v1_format(v1: httpx.Client) -> None:
    assert refused(v1.post("/v1/models/nope:predict", json={"instances": [1]}))[0] == 404
    assert refused(v1.post(PREDICT, json={"inputs": images(1).tolist()}))[0] == 400
    assert refused(v1.post("/v1/models/colours:explain", json={"instances": [1]}))[0] == 405
    assert refused(v1.post(PREDICT, content=b"{"))[0] == 400


def test_other_drop_in_endpoints_are_disabled(v1: httpx.Client) -> None:
    body = {"examples": [{"image": b64(plain(RED))}]}
    assert refused(v1.post("/v1/models/colours:classify", json=body))[0] == 405
    for path in ("/ping", "/predictions/colours", "/predict", "/v1/models/colours/metadata"):
        assert v1.get(path).status_code == 404
        assert v1.get(path).json()["code"] == "not_found"


def test_predictions_are_counted_as_kserve_v1(v1: httpx.Client) -> None:
    def count() -> float:
        line = 'potoo_predictions_total{model="colours",protocol="kserve_v1"} '
        (found,) = [one for one in v1.get("/metrics").text.splitlines() if one.startswith(line)]
        return float(found.removeprefix(line))

    before = count()
    assert v1.post(PREDICT, json={"instances": images(3).tolist()}).status_code == 200
    assert count() - before == 3
