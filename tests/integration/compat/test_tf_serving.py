"""TensorFlow Serving's REST, called as its documentation calls it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.callers.tensors import images, refused
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import LABELS, SIDE
from tests.support.servers.drop_in import SCOPES, TEMPERATURES, b64, share
from tests.support.servers.server import LiveServer

MODEL = "/v1/models/colours"
PREDICT, CLASSIFY = f"{MODEL}:predict", f"{MODEL}:classify"
RED_LOGITS, GREEN_LOGITS = [10.0, 0.0, 0.0], [0.0, 10.0, 0.0]
VERSIONS = {"": 2, "/versions/1": 1, "/versions/2": 2, "/labels/stable": 1}
"""The version that serves each path."""


@pytest.fixture(scope="module")
def tf(drop_in: LiveServer) -> Iterator[httpx.Client]:
    with drop_in.client(SCOPES) as client:
        yield client


def shape(value: Any) -> Any:
    """The members of an answer at every depth, with the types of their values."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(member) for member in value[:1]]
    return type(value)


def got(answer: httpx.Response, member: str) -> Any:
    """The only member of a successful response."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert list(body) == [member]
    return body[member]


@pytest.mark.parametrize("kind", [None, "application/x-www-form-urlencoded", "application/json"])
def test_instances_return_predictions_for_every_content_type(
    tf: httpx.Client, kind: str | None
) -> None:
    array = images(3)
    body = json.dumps({"signature_name": "serving_default", "instances": array.tolist()})
    headers = {"content-type": kind} if kind else {}
    found = got(tf.post(PREDICT, content=body.encode(), headers=headers), "predictions")
    assert np.allclose(found, 10 * array.mean((2, 3)), rtol=1e-5)


def test_rows_may_name_the_input(tf: httpx.Client) -> None:
    array = images(2)
    rows = [{"image": row.tolist()} for row in array]
    found = got(tf.post(PREDICT, json={"instances": rows}), "predictions")
    assert np.allclose(found, 10 * array.mean((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("name", [None, "image"])
def test_columns_return_outputs(tf: httpx.Client, name: str | None) -> None:
    array = images(4)
    column = {name: array.tolist()} if name else array.tolist()
    found = got(tf.post(PREDICT, json={"inputs": column}), "outputs")
    assert np.allclose(found, 10 * array.mean((2, 3)), rtol=1e-5)


RED_FILE, GREEN_FILE = b64(plain(RED)), b64(plain(GREEN, format="JPEG"))
IMAGES: dict[str, tuple[Any, str]] = {
    "bare rows": ({"instances": [RED_FILE, GREEN_FILE]}, "predictions"),
    "rows by the input's name": (
        {"instances": [{"image": RED_FILE}, {"image": GREEN_FILE}]},
        "predictions",
    ),
    "rows by another name": (
        {"instances": [{"image_bytes": RED_FILE}, {"image_bytes": GREEN_FILE}]},
        "predictions",
    ),
    "a bare column": ({"inputs": [RED_FILE, GREEN_FILE]}, "outputs"),
    "a column by name": ({"inputs": {"image_bytes": [RED_FILE, GREEN_FILE]}}, "outputs"),
}


@pytest.mark.parametrize(("body", "member"), IMAGES.values(), ids=IMAGES)
def test_encoded_images_are_accepted_in_every_form(
    tf: httpx.Client, body: Any, member: str
) -> None:
    found = got(tf.post(PREDICT, json=body), member)
    assert np.allclose(found, [RED_LOGITS, GREEN_LOGITS], atol=0.1)


@pytest.mark.parametrize("column", [RED_FILE, {"x": RED_FILE}, {"image": RED_FILE}])
def test_single_image_is_a_column_of_one(tf: httpx.Client, column: Any) -> None:
    found = got(tf.post(PREDICT, json={"inputs": column}), "outputs")
    assert np.allclose(found, [RED_LOGITS], atol=1e-3)


@pytest.mark.parametrize(("place", "version"), VERSIONS.items())
def test_classify_returns_labels_and_scores(tf: httpx.Client, place: str, version: int) -> None:
    body = {
        "signature_name": "tensorflow/serving/classify",
        "examples": [
            {"image/encoded": b64(plain(BLUE)), "caption": "sea", "width": 64},
            {"image": [RED_FILE]},
        ],
    }
    results = got(tf.post(f"{MODEL}{place}:classify", json=body), "results")
    best, second, third = share([10.0, 0.0, 0.0], TEMPERATURES[version])
    assert [[label for label, _ in result] for result in results] == [
        ["blue", "red", "green"],
        ["red", "green", "blue"],
    ]
    for result in results:
        scores = [score for _, score in result]
        assert scores == pytest.approx([best, second, third], abs=2e-6)


@pytest.mark.parametrize("place", VERSIONS)
def test_every_version_predicts(tf: httpx.Client, place: str) -> None:
    body = {"instances": [RED_FILE]}
    found = got(tf.post(f"{MODEL}{place}:predict", json=body), "predictions")
    assert np.allclose(found, [RED_LOGITS], atol=1e-3)


@pytest.mark.parametrize(("place", "version"), list(VERSIONS.items())[1:])
def test_version_status_is_available(tf: httpx.Client, place: str, version: int) -> None:
    assert tf.get(f"{MODEL}{place}").json() == {
        "model_version_status": [
            {
                "version": str(version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


@pytest.mark.parametrize(("place", "version"), VERSIONS.items())
def test_model_metadata_describes_the_signature(tf: httpx.Client, place: str, version: int) -> None:
    found = tf.get(f"{MODEL}{place}/metadata").json()
    spec = {"name": "colours", "signature_name": "", "version": str(version)}
    assert found["model_spec"] == spec
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["image"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": str(size), "name": ""} for size in (-1, 3, SIDE, SIDE)],
            "unknown_rank": False,
        },
        "name": "image",
    }
    assert [axis["size"] for axis in signature["outputs"]["logits"]["tensor_shape"]["dim"]] == [
        "-1",
        str(len(LABELS)),
    ]


def test_own_model_endpoints_keep_their_members(tf: httpx.Client, client: httpx.Client) -> None:
    for path in ("/v1/models", MODEL):
        with_it, without = tf.get(path).json(), client.get(path).json()
        assert shape(with_it) == shape(without)


def test_compressed_body_is_accepted(tf: httpx.Client) -> None:
    body = gzip.compress(json.dumps({"instances": [RED_FILE]}).encode())
    answer = tf.post(PREDICT, content=body, headers={"content-encoding": "gzip"})
    assert np.allclose(got(answer, "predictions"), [RED_LOGITS], atol=1e-3)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/models/nope:predict", "/v1/models/nope:classify", f"{MODEL}/versions/9:predict"),
        *(f"{MODEL}/versions/x:predict", f"{MODEL}/labels/nope:predict"),
        *(f"{MODEL}/labels/nope:classify", f"{MODEL}/versions/-1:classify"),
        *("/v1/models/%2e%2e%2fcolours:predict", f"{MODEL}:predict:predict"),
        *(f"{MODEL}/versions/99999999999999999999:predict", f"{MODEL}%00:predict"),
    ],
)
def test_call_to_an_unknown_model_or_version_is_not_found(tf: httpx.Client, path: str) -> None:
    assert refused(tf.post(path, json={"instances": [RED_FILE]}))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        *(f"{MODEL}/versions/9", f"{MODEL}/versions/x", f"{MODEL}/labels/nope"),
        *(f"{MODEL}/versions/9/metadata", f"{MODEL}/labels/nope/metadata", PREDICT),
        *("/v1/models/nope/metadata", "/v1/models/nope/versions/1", "/v1/models/nope/labels/a"),
    ],
)
def test_status_of_an_unknown_model_or_version_is_not_found(tf: httpx.Client, path: str) -> None:
    assert refused(tf.get(path))[0] == 404


@pytest.mark.parametrize("path", [f"{MODEL}:regress", f"{MODEL}:", "/v1/models/:predict"])
def test_unsupported_methods_are_refused(tf: httpx.Client, path: str) -> None:
    assert refused(tf.post(path, json={"examples": [{"x": 1.0}]}))[0] == 405
