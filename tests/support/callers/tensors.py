"""Requests and responses of the Open Inference Protocol."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from tests.support.callers.answers import assert_tells_nothing
from tests.support.models.tiny_model import SIDE

LENGTH = "inference-header-content-length"
INFER = "/v2/models/colours/infer"
SCOPES = "infer models:read"


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """A batch of inputs for the colour model."""
    return np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)


def by_onnxruntime(file: object, array: NDArray[Any]) -> NDArray[np.float32]:
    """Output of ONNX Runtime for an array and a model file."""
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    output: NDArray[np.float32] = session.run(None, {taken.name: array})[0]
    return output


def in_json(array: NDArray[Any], **members: Any) -> dict[str, Any]:
    """JSON body with one FP32 tensor."""
    one = {"name": "image", "shape": list(array.shape), "datatype": "FP32"}
    return {"inputs": [one | {"data": array.ravel().tolist()}]} | members


def in_bytes(
    data: bytes, shape: list[int], datatype: str = "FP32", **members: Any
) -> tuple[bytes, dict[str, str]]:
    """Body and headers with one binary tensor."""
    one: dict[str, Any] = {"name": "image", "shape": shape, "datatype": datatype}
    one["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [one]} | members).encode()
    return head + data, {LENGTH: str(len(head))}


def files_in_bytes(*files: bytes, **members: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers with encoded images."""
    data = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    return in_bytes(data, [len(files)], "BYTES", **members)


def output_of(answer: httpx.Response) -> NDArray[np.float32]:
    """The only output of a successful response, JSON or binary."""
    assert answer.status_code == 200, answer.text
    if LENGTH not in answer.headers:
        assert answer.headers["content-type"] == "application/json"
        (one,) = answer.json()["outputs"]
        return np.array(one["data"], np.float32).reshape(one["shape"])
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    (one,) = json.loads(answer.content[:length])["outputs"]
    blob = answer.content[length:]
    assert one["parameters"]["binary_data_size"] == len(blob)
    return np.frombuffer(blob, np.float32).reshape(one["shape"])


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and message of a refusal, with the checks that clients rely on."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/json", "to the letter"
    assert "content-encoding" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"error"}
    assert body["error"]
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="')
    if answer.status_code in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1
    assert_tells_nothing(answer)
    return answer.status_code, body["error"]
