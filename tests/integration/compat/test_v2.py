"""The Open Inference Protocol over HTTP: every path and form, on a running server."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.callers.accounts import add_person, bearer
from tests.support.callers.tensors import (
    INFER,
    LENGTH,
    SCOPES,
    by_onnxruntime,
    files_in_bytes,
    images,
    in_bytes,
    in_json,
    output_of,
    refused,
)
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import LABELS, SIDE, write_model
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def v2(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(SCOPES) as client:
        yield client


@pytest.fixture
def expected(colours: Path) -> Callable[[Any], Any]:
    return lambda array: by_onnxruntime(colours / "colours" / "1" / "model.onnx", array)


@pytest.mark.parametrize("path", [INFER, "/v2/models/colours/versions/1/infer"])
@pytest.mark.parametrize("count", [1, 5])
def test_json_request_gives_a_json_response(
    v2: httpx.Client, expected: Callable[[Any], Any], path: str, count: int
) -> None:
    answer = v2.post(path, json=in_json(images(count), id="mine"))
    assert np.allclose(output_of(answer), expected(images(count)), rtol=1e-6)
    document = answer.json()
    assert (document["model_name"], document["model_version"]) == ("colours", "1")
    assert document["id"] == "mine"


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "text/html", "nonsense"])
def test_binary_request_gives_a_binary_response_for_any_type(
    v2: httpx.Client, expected: Callable[[Any], Any], kind: str | None
) -> None:
    array = images(3)
    wanted = {"binary_data_output": True}
    body, headers = in_bytes(array.tobytes(), list(array.shape), parameters=wanted)
    if kind:
        headers["content-type"] = kind
    answer = v2.post(INFER, content=body, headers=headers)
    assert answer.headers[LENGTH]
    assert np.array_equal(output_of(answer), output_of(v2.post(INFER, json=in_json(array))))
    assert np.allclose(output_of(answer), expected(array), rtol=1e-6)


def test_output_parameter_overrides_the_request_form(v2: httpx.Client) -> None:
    for wanted, is_binary in ((True, True), (False, False)):
        output = {"name": "logits", "parameters": {"binary_data": wanted}}
        body = in_json(images(1), outputs=[output], parameters={"binary_data_output": not wanted})
        assert (LENGTH in v2.post(INFER, json=body).headers) is is_binary


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)],
)
def test_request_and_response_can_be_compressed(
    v2: httpx.Client, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    array = images(64)
    wanted = {"binary_data_output": False}
    body, headers = in_bytes(array.tobytes(), list(array.shape), parameters=wanted)
    headers |= {"content-encoding": encoding, "accept-encoding": encoding}
    answer = v2.post(INFER, content=compress(body), headers=headers)
    assert answer.headers["content-encoding"] == encoding.lower()
    assert answer.headers["vary"] == "Accept-Encoding"
    assert np.array_equal(
        output_of(answer),
        output_of(v2.post(INFER, json=in_json(array), headers={"accept-encoding": "identity"})),
    )


def test_only_inference_responses_are_compressed(v2: httpx.Client) -> None:
    headers = {"accept-encoding": "gzip, deflate"}
    for path in ("/v2", "/v2/models/colours", "/v2/models/colours/config", "/v2/models/stats"):
        answer = v2.get(path, headers=headers)
        assert (answer.status_code, "content-encoding" in answer.headers) == (200, False)
    assert refused(v2.post(INFER, content=b"x" * 5000, headers=headers))[0] == 400


def test_json_length_refers_to_the_uncompressed_response(v2: httpx.Client) -> None:
    output = {"name": "logits", "parameters": {"binary_data": True, "classification": 3}}
    array = np.zeros((64, 3, SIDE, SIDE), np.float32)
    body, headers = in_bytes(array.tobytes(), list(array.shape), outputs=[output])
    answer = v2.post(INFER, content=body, headers=headers | {"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    document = json.loads(answer.content[: int(answer.headers[LENGTH])])
    assert document["outputs"][0]["shape"] == [64, 3]
    assert int(answer.headers["content-length"]) < len(answer.content)


def test_encoded_images_give_outputs_and_classes(v2: httpx.Client) -> None:
    files = [plain(RED), plain(GREEN, format="JPEG"), plain(BLUE, format="WEBP")]
    body, headers = files_in_bytes(*files)
    found = output_of(v2.post(INFER, content=body, headers=headers))
    assert np.allclose(found, 10 * np.eye(3), atol=0.1)
    output = {"name": "logits", "parameters": {"classification": 1}}
    body, headers = files_in_bytes(*files, outputs=[output])
    (classes,) = v2.post(INFER, content=body, headers=headers).json()["outputs"]
    assert (classes["datatype"], classes["shape"]) == ("BYTES", [3, 1])
    values, indices, labels = zip(*(one.split(":") for one in classes["data"]), strict=True)
    assert (indices, labels) == (("0", "1", "2"), LABELS)
    assert all(len(value.partition(".")[2]) == 6 for value in values)


def test_images_are_preprocessed_like_classify(server: LiveServer, v2: httpx.Client) -> None:
    file = plain((200, 100, 50), format="JPEG")
    body, headers = files_in_bytes(file)
    logits = output_of(v2.post(INFER, content=body, headers=headers))[0].astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum()
    with server.client() as client:
        answer = client.post("/v1/classify", content=file, headers={"content-type": "image/jpeg"})
    for prediction in answer.json()["predictions"]:
        assert prediction["score"] == pytest.approx(shares[prediction["index"]], abs=1e-5)


def test_raw_request_is_a_tensor_or_an_image(v2: httpx.Client) -> None:
    for body, found in (
        (images(1).tobytes(), images(1).mean((2, 3)) * 10),
        (plain(RED), [[10, 0, 0]]),
    ):
        answer = v2.post(INFER, content=body, headers={LENGTH: "0"})
        assert LENGTH in answer.headers, "raw requests are answered raw"
        assert np.allclose(output_of(answer), found, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38])
def test_non_finite_numbers_require_a_binary_response(v2: httpx.Client, value: float) -> None:
    array = np.full((1, 3, SIDE, SIDE), value, np.float32)
    status, error = refused(v2.post(INFER, content=json.dumps(in_json(array)).encode()))
    assert (status, "binary" in error) == (400, True)
    parameters = {"binary_data_output": True}
    text = json.dumps(in_json(array, parameters=parameters)).encode()
    assert not np.isfinite(output_of(v2.post(INFER, content=text))).any()


@pytest.mark.parametrize("name", ["ä" * 10, "a" * 200, '"\\\n', "\U0001f99c"])
def test_request_ids_are_returned_unchanged(v2: httpx.Client, name: str) -> None:
    assert v2.post(INFER, json=in_json(images(1), id=name)).json()["id"] == name


def test_timeout_and_priority_parameters_are_applied(v2: httpx.Client) -> None:
    late = v2.post(INFER, json=in_json(images(64), parameters={"timeout": 1}))
    assert refused(late)[0] == 504
    for priority in (0, 1, 2, 99):
        parameters = {"priority": priority, "timeout": 20_000_000}
        output_of(v2.post(INFER, json=in_json(images(1), parameters=parameters)))


def test_health_needs_no_token(server: LiveServer) -> None:
    live, ready = (httpx.get(f"{server.url}/v2/health/{what}") for what in ("live", "ready"))
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (200, {"live": True, "ready": True})


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata_lists_extensions(v2: httpx.Client, path: str) -> None:
    answer = v2.get(path)
    assert answer.status_code == 200
    assert answer.json()["name"] == "potoo"
    assert "binary_tensor_data" in answer.json()["extensions"]


def test_model_metadata_is_equal_with_and_without_version(v2: httpx.Client) -> None:
    for what in ("", "/config", "/stats", "/ready"):
        plainly = v2.get(f"/v2/models/colours{what}")
        exactly = v2.get(f"/v2/models/colours/versions/1{what}")
        assert plainly.status_code == exactly.status_code == 200
        assert plainly.json() == exactly.json()
    metadata = v2.get("/v2/models/colours").json()
    assert metadata == {
        "name": "colours",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, SIDE, SIDE]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}],
    }
    config = v2.get("/v2/models/colours/config").json()
    assert (config["max_batch_size"], config["input"][0]["format"]) == (64, "FORMAT_NCHW")
    assert v2.get("/v2/models/colours/ready").json() == {"name": "colours", "ready": True}
    assert v2.get("/v2/models").json() == {"models": ["colours"]}


def test_statistics_count_requests_and_failures(v2: httpx.Client) -> None:
    def stats() -> dict[str, Any]:
        (found,) = v2.get("/v2/models/colours/stats").json()["model_stats"]
        assert found in v2.get("/v2/models/stats").json()["model_stats"]
        return dict(found)

    before, began = stats(), time.time_ns() // 10**6
    output_of(v2.post(INFER, json=in_json(images(3))))
    refused(v2.post(INFER, json=in_json(images(65))))
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["last_inference"] >= began
    spent = {
        name: (part["count"] - was["count"], part["ns"] - was["ns"])
        for (name, part), was in zip(
            after["inference_stats"].items(), before["inference_stats"].values(), strict=True
        )
    }
    assert {count for count, _ in spent.values()} == {1}
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert spent["success"][1] >= sum(spent[part][1] for part in parts)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"{}", b'{"ready": true}', b'{"ready": false, "x": 1}']
)
def test_repository_index_lists_the_models(v2: httpx.Client, body: bytes) -> None:
    answer = v2.post("/v2/repository/index", content=body)
    line = {"name": "colours", "version": "1", "state": "READY", "reason": ""}
    assert (answer.status_code, answer.json()) == (200, [line])


def test_default_model_can_be_loaded_but_not_unloaded(server: LiveServer, v2: httpx.Client) -> None:
    for what, status in (("load", 200), ("unload", 409)):
        path = f"/v2/repository/models/colours/{what}"
        assert refused(v2.post(path))[0] == 403
        headers = bearer(server.token("models:write"))
        assert httpx.post(server.url + path, json={}, headers=headers).status_code == status


def test_other_model_can_be_unloaded_and_reloaded(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("colours", "others"):
        write_model(models, None, name=name)
    with serve(tmp_path, models=models, POTOO_DEFAULT_MODEL="colours") as live:
        token = live.token("models:write models:read infer")
        with httpx.Client(base_url=live.url, headers=bearer(token)) as client:

            def others() -> list[tuple[str, str]]:
                index = client.post("/v2/repository/index").json()
                return [(one["version"], one["state"]) for one in index if one["name"] == "others"]

            assert others() == [("1", "READY")]
            assert client.get("/v2/models/others").json()["versions"] == ["1"]
            path = "/v2/repository/models/others"
            parameters = {"parameters": {"unload_dependents": True}}
            assert client.post(f"{path}/unload", json=parameters).status_code == 200
            assert wait_until(lambda: others() == [("1", "UNAVAILABLE")])
            assert client.get("/v2/models/others/ready").status_code == 503
            assert client.post(f"{path}/load").status_code == 200
            assert others() == [("1", "READY")]
            assert client.get("/v2/models/others/ready").status_code == 200


@pytest.mark.parametrize("name", ["config", "file:1/weights"])
def test_model_upload_is_unsupported(server: LiveServer, name: str) -> None:
    status, error = refused(
        httpx.post(
            f"{server.url}/v2/repository/models/colours/load",
            json={"parameters": {name: "{}"}},
            headers=bearer(server.token("models:write")),
        )
    )
    assert (status, name in error) == (400, True)


NEEDED = {
    ("POST", INFER): "infer",
    ("POST", "/v2/models/colours/versions/1/infer"): "infer",
    ("GET", "/v2"): "models:read",
    ("GET", "/v2/"): "models:read",
    ("GET", "/v2/models"): "models:read",
    ("GET", "/v2/models/stats"): "models:read",
    ("GET", "/v2/models/colours"): "models:read",
    ("GET", "/v2/models/colours/ready"): "models:read",
    ("GET", "/v2/models/colours/config"): "models:read",
    ("GET", "/v2/models/colours/stats"): "models:read",
    ("GET", "/v2/models/colours/versions/1"): "models:read",
    ("POST", "/v2/repository/index"): "models:read",
    ("POST", "/v2/repository/models/colours/load"): "models:write",
    ("POST", "/v2/repository/models/colours/unload"): "models:write",
}


@pytest.mark.parametrize(("call", "scope"), NEEDED.items(), ids=[path for _, path in NEEDED])
def test_every_call_requires_a_token_and_its_scope(
    server: LiveServer, call: tuple[str, str], scope: str
) -> None:
    method, path = call
    url = server.url + path
    assert refused(httpx.request(method, url))[0] == 401
    assert refused(httpx.request(method, url, headers=bearer("no token")))[0] == 401
    others = " ".join({"infer", "models:read", "models:write", "classify"} - {scope})
    status, error = refused(httpx.request(method, url, headers=bearer(server.token(others))))
    assert (status, scope in error) == (403, True)


def test_account_without_the_model_is_refused_and_sees_no_models(server: LiveServer) -> None:
    person = add_person(server, scopes=["infer", "models:read"], models=["others"])
    headers = bearer(person.sign_in()["access_token"])
    with httpx.Client(base_url=server.url, headers=headers) as client:
        assert refused(client.post(INFER, json=in_json(images(1))))[0] == 403
        for what in ("", "/config", "/stats", "/ready"):
            assert refused(client.get(f"/v2/models/colours{what}"))[0] == 403
        assert client.get("/v2/models").json() == {"models": []}
        assert client.get("/v2/models/stats").json() == {"model_stats": []}
        assert client.post("/v2/repository/index").json() == []


def test_predictions_are_counted_as_v2(server: LiveServer, v2: httpx.Client) -> None:
    def count() -> float:
        line = 'potoo_predictions_total{model="colours",protocol="v2"}'
        text = httpx.get(f"{server.url}/metrics").text
        return next(float(one.split()[-1]) for one in text.splitlines() if one.startswith(line))

    before = count()
    output_of(v2.post(INFER, json=in_json(images(4))))
    assert count() - before == 4
