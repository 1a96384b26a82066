"""tritonclient over gRPC against a running server: results equal ONNX Runtime's."""

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
FORMS = 2 * 3 * 2
"""Number of variants: with outputs or not, three compressions, with a version or not."""


@pytest.fixture(scope="module")
def found(server: LiveServer) -> dict[str, Any]:
    return facts(
        "triton_grpc",
        address=server.grpc,
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
    assert np.allclose(client["with parameters"], expected, rtol=1e-6)


def test_concurrent_requests_give_the_same_outputs(found: dict[str, Any], expected: Any) -> None:
    assert len(found["sync"]["at once"]) == 8
    for output in found["sync"]["at once"]:
        assert np.allclose(output, expected, rtol=1e-6)


def test_stream_continues_after_a_bad_request(client: dict[str, Any]) -> None:
    bad = "There is no input 'pixels'; there is 'image'."
    assert client["stream"] == [["ok", "0"], ["error", bad], ["ok", "2"], ["ok", "3"]]


def test_encoded_images_and_classes_are_returned(client: dict[str, Any]) -> None:
    assert np.allclose(client["images"], 10 * np.eye(3), atol=0.2)
    best = [row[0].split(":")[1:] for row in client["classes"]]
    assert best == [["0", "red"], ["1", "green"], ["2", "blue"]]


def test_health_is_read_by_the_client(client: dict[str, Any]) -> None:
    names = ("live", "ready", "model ready", "version ready", "other ready")
    assert [client[name] for name in names] == [True, True, True, True, False]


def test_server_and_model_metadata_are_read(client: dict[str, Any]) -> None:
    assert client["server"]["name"] == "potoo"
    assert client["metadata"]["inputs"][0]["shape"] == ["-1", *map(str, SHAPE[1:])]
    assert client["config"]["config"]["max_batch_size"] == 64
    assert client["config"]["config"]["input"][0]["format"] == "FORMAT_NCHW"
    (entry,) = client["index"]["models"]
    assert (entry["name"], entry["version"], entry["state"]) == ("colours", "1", "READY")
    for name in ("statistics", "all statistics"):
        (stats,) = client[name]["model_stats"]
        assert stats["name"] == "colours"
        assert int(stats["inference_stats"]["success"]["count"]) > 0


STATUSES = {
    "unknown model": ("NOT_FOUND", "No model of that name is served."),
    "unknown version": ("NOT_FOUND", "That version of the model is not served."),
    "unknown input": ("INVALID_ARGUMENT", "There is no input 'pixels'; there is 'image'."),
    "another shape": ("INVALID_ARGUMENT", "The input 'image' is FP32 of shape"),
    "no image": ("INVALID_ARGUMENT", "Image 0: Not a JPEG"),
    "no token": ("UNAUTHENTICATED", "A valid access token is needed."),
    "too late": ("DEADLINE_EXCEEDED", "The time allowed"),
    "past its deadline": ("DEADLINE_EXCEEDED", ""),
    "a sequence": ("UNIMPLEMENTED", "Sequences"),
    "load": ("UNIMPLEMENTED", "The parameter 'config' is not supported."),
    "metadata": ("NOT_FOUND", "No model of that name is served."),
    "shared memory": ("UNIMPLEMENTED", "There is no method of that name."),
}


@pytest.mark.parametrize("case", STATUSES)
def test_refusals_are_understood_by_the_client(client: dict[str, Any], case: str) -> None:
    status, words = STATUSES[case]
    told_status, told = client["refusals"][case]
    assert told_status == f"StatusCode.{status}"
    assert words in told
