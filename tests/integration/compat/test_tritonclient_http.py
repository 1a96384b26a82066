"""tritonclient over HTTP against a running server: results equal ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.running import facts
from tests.support.callers.tensors import by_onnxruntime, images
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.slow

SHAPE = [3, 3, SIDE, SIDE]
FORMS = 2 * 3 * 3 * 3 * 2
"""Variants: binary or JSON in, three outputs, three compressions each way, two versions."""


@pytest.fixture(scope="module")
def found(server: LiveServer) -> dict[str, Any]:
    host, port = server.address
    return facts(
        "triton_http",
        address=f"{host}:{port}",
        token=server.token("infer models:read models:write"),
        model="colours",
        shape=SHAPE,
        files=[plain(colour, format="JPEG").hex() for colour in (RED, GREEN, BLUE)],
    )


@pytest.fixture(params=["sync", "aio"])
def client(request: pytest.FixtureRequest, found: dict[str, Any]) -> dict[str, Any]:
    of_client: dict[str, Any] = found[request.param]
    return of_client


@pytest.fixture
def expected(colours: Path) -> Any:
    return by_onnxruntime(colours / "colours" / "1" / "model.onnx", images(3))


def test_every_request_form_gives_the_outputs_of_onnx_runtime(
    client: dict[str, Any], expected: Any
) -> None:
    assert len(client["forms"]) == FORMS
    for form in client["forms"]:
        assert np.allclose(form["output"], expected, rtol=1e-6)
        assert form["id"] == "é 7"
        assert form["model"] == ["colours", "1"]


def test_compressed_answers_are_read(client: dict[str, Any]) -> None:
    assert len(client["long"]) == 4
    for one in client["long"]:
        assert one["shape"] == [64, 3]
        assert one["first"] == "10.000000:0:red"


def test_concurrent_requests_give_the_same_outputs(found: dict[str, Any], expected: Any) -> None:
    assert len(found["sync"]["at once"]) == 8
    for output in found["sync"]["at once"]:
        assert np.allclose(output, expected, rtol=1e-6)


def test_encoded_images_and_classes_are_returned(client: dict[str, Any]) -> None:
    assert np.allclose(client["images"], 10 * np.eye(3), atol=0.2)
    in_bytes, in_json = client["classes"]
    assert in_bytes == in_json
    best = [row[0].split(":")[1:] for row in in_bytes]
    assert best == [["0", "red"], ["1", "green"], ["2", "blue"]]


def test_non_finite_numbers_are_returned_as_binary(client: dict[str, Any]) -> None:
    assert client["nan"] is True


def test_health_is_read_by_the_client(client: dict[str, Any]) -> None:
    names = ("live", "ready", "model ready", "version ready", "other ready")
    assert [client[name] for name in names] == [True, True, True, True, False]


def test_server_and_model_metadata_are_read(client: dict[str, Any]) -> None:
    assert client["server"]["name"] == "potoo"
    assert client["metadata"]["inputs"][0]["shape"] == [-1, *SHAPE[1:]]
    assert client["config"]["max_batch_size"] == 64
    assert client["index"] == [{"name": "colours", "version": "1", "state": "READY", "reason": ""}]
    (stats,) = client["statistics"]["model_stats"]
    assert type(stats["inference_stats"]["success"]["ns"]) is int
    assert client["all statistics"]["model_stats"][0]["name"] == "colours"


STATUSES = {
    "unknown model": ("404", "No model of that name is served."),
    "unknown version": ("404", "That version of the model is not served."),
    "unknown input": ("400", "There is no input 'pixels'; there is 'image'."),
    "another shape": ("400", "The input 'image' is FP32 of shape"),
    "no image": ("400", "Image 0: Not a JPEG"),
    "not finite": ("400", "binary data"),
    "no token": ("401", "A valid access token is needed."),
    "too late": ("504", "The time allowed"),
    "a sequence": ("400", "Sequences"),
    "load": ("400", "The parameter 'config' is not supported."),
    "metadata": ("404", "No model of that name is served."),
}


@pytest.mark.parametrize("case", STATUSES)
def test_refusals_are_understood_by_the_client(client: dict[str, Any], case: str) -> None:
    status, words = STATUSES[case]
    told_status, told = client["refusals"][case]
    assert status in told_status
    assert words in told
