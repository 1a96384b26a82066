"""Invalid and hostile requests below /v2: the protocol's error format, no side effects."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.callers.accounts import bearer
from tests.support.callers.raw_http import Connection
from tests.support.callers.tensors import (
    INFER,
    LENGTH,
    SCOPES,
    files_in_bytes,
    images,
    in_bytes,
    in_json,
    output_of,
    refused,
)
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE
from tests.support.servers.memory import Watch
from tests.support.servers.server import LiveServer, serve

MIB = 2**20
SHAPE = [1, 3, SIDE, SIDE]
ONE = images(1).tobytes()


@pytest.fixture(scope="module")
def v2(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(SCOPES) as client:
        yield client
        assert np.isfinite(output_of(client.post(INFER, json=in_json(images(1))))).all()


def one(**members: Any) -> dict[str, Any]:
    """A body for one tensor, with some of its members changed."""
    tensor = in_json(images(1))["inputs"][0] | members
    return {"inputs": [{name: value for name, value in tensor.items() if value is not ...}]}


BAD: dict[str, Any] = {
    "another shape": one(shape=[1, 3, SIDE * SIDE, 1]),
    "one axis less": one(shape=[3, SIDE, SIDE]),
    "a negative axis": one(shape=[-1, 3, SIDE, SIDE]),
    "an axis that overflows": one(shape=[2**63, 3, SIDE, SIDE]),
    "axes that overflow": one(shape=[2**32, 2**32, 3, 3]),
    "an axis that is not an integer": one(shape=[1.0, 3, SIDE, SIDE]),
    "nine axes": one(shape=[1, 1, 1, 1, 1, 1, 3, SIDE, SIDE]),
    "another datatype": one(datatype="FP64"),
    "an unknown datatype": one(datatype="TF32"),
    "values of another kind": one(data=["a"] * 3 * SIDE * SIDE),
    "too few values": one(data=[0.0]),
    "no values": one(data=...),
    "an unknown input": one(name="pixels"),
    "an additional input": {"inputs": in_json(images(1))["inputs"] * 2},
    "no inputs": {"inputs": []},
    "nothing": {},
    "an unknown output": in_json(images(1), outputs=[{"name": "other"}]),
    "an output twice": in_json(images(1), outputs=[{"name": "logits"}] * 2),
    "65 items": in_json(images(65)),
    "no items": one(shape=[0, 3, SIDE, SIDE], data=[]),
    "negative classes": in_json(
        images(1), outputs=[{"name": "logits", "parameters": {"classification": -1}}]
    ),
    "hostile names": one(name="../../etc/passwd\x00\n<script>"),
    "an id that is a number": in_json(images(1), id=7),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_invalid_infer_document_is_a_bad_request(v2: httpx.Client, body: Any) -> None:
    assert refused(v2.post(INFER, json=body))[0] == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 10**6, b'{"a":' * 10**5, b'{"x": NaN', b"null"]
)
def test_invalid_json_is_a_bad_request(v2: httpx.Client, body: bytes) -> None:
    assert refused(v2.post(INFER, content=body))[0] == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 60_000, b'{"ready": 1}', b"null"])
def test_invalid_index_request_is_a_bad_request(v2: httpx.Client, body: bytes) -> None:
    assert refused(v2.post("/v2/repository/index", content=body))[0] == 400


@pytest.mark.parametrize("value", ["-1", "abc", "0", "1e3", "99999999", "1" * 40, "", "1, 1"])
def test_invalid_json_length_header_is_refused(v2: httpx.Client, value: str) -> None:
    body, _ = in_bytes(ONE, SHAPE)
    status, error = refused(v2.post(INFER, content=body, headers={LENGTH: value}))
    assert status == (413 if value == "99999999" else 400)
    assert value in {"0", "99999999"} or "Inference-Header-Content-Length" in error


@pytest.mark.parametrize("cut", [-1, -len(ONE), 1])
def test_missing_or_extra_bytes_are_refused(v2: httpx.Client, cut: int) -> None:
    body, headers = in_bytes(ONE, SHAPE)
    body = body + b"\0" * cut if cut > 0 else body[:cut]
    assert refused(v2.post(INFER, content=body, headers=headers))[0] == 400


def test_wrong_lengths_of_encoded_images_are_refused(v2: httpx.Client) -> None:
    for data in (b"", b"\xff\xff\xff\x7f", b"\4\0\0\0abc", b"\3\0\0\0abc\0"):
        body, headers = in_bytes(data, [1], "BYTES")
        assert refused(v2.post(INFER, content=body, headers=headers))[0] == 400
    body, headers = in_bytes(b"", [2**40], "BYTES")
    assert refused(v2.post(INFER, content=body, headers=headers))[0] == 400


def test_bad_image_is_named_by_position(v2: httpx.Client) -> None:
    for bad in (b"text", plain()[:60], b""):
        body, headers = files_in_bytes(plain(), bad)
        status, error = refused(v2.post(INFER, content=body, headers=headers))
        assert (status, error.startswith("Image 1: ")) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/models/nope", "/v2/models/nope/ready", "/v2/models/nope/config", "/v2/nope"),
        *("/v2/models/colours/versions/2", "/v2/models/colours/versions/x/ready"),
        *("/v2/models/colours/versions/-1", "/v2/models/colours/versions/1.0", "/v2/models//ready"),
        *("/v2/models/colours/versions/99999999999999999999", "/v2/models/%2e%2e%2fcolours"),
        *("/v2/models/colours%00", "/v2/models/colours/versions/%D9%A1", "/v2/models/colours/"),
        *("/v2/" + "a" * 5000, "/v2/models/" + "a" * 5000 + "/stats", "/v2/health", "/v2/health/x"),
    ],
)
def test_unknown_path_is_not_found(v2: httpx.Client, path: str) -> None:
    assert refused(v2.get(path))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nope/infer",
        "/v2/models/colours/versions/2/infer",
        "/v2/models/colours/versions/x/infer",
        "/v2/models/{name}/infer",
    ],
)
def test_unknown_model_is_refused_before_its_body(server: LiveServer, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n"
        f"Authorization: Bearer {server.token(SCOPES)}\r\n\r\n"
    )
    with Connection(server.address) as connection:
        connection.send(head.encode())
        answer = connection.answer()
    assert (answer.status, list(json.loads(answer.body))) == (404, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", INFER, "POST"),
        ("DELETE", INFER, "POST"),
        ("POST", "/v2/models/colours", "GET"),
        ("GET", "/v2/repository/index", "POST"),
        ("PUT", "/v2/health/live", "GET"),
    ],
)
def test_other_method_is_refused_with_allow(
    v2: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = v2.request(method, path)
    assert refused(answer)[0] == 405
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("encoding", ["br", "x-gzip", "gzip, gzip", "compress", "identity, br"])
def test_unsupported_encoding_is_refused_naming_the_supported(
    v2: httpx.Client, encoding: str
) -> None:
    answer = v2.post(INFER, content=b"x", headers={"content-encoding": encoding})
    assert refused(answer)[0] == 415
    assert "gzip" in answer.headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_undecodable_compressed_body_is_a_bad_request(v2: httpx.Client, encoding: str) -> None:
    body, headers = in_bytes(ONE, SHAPE)
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    headers["content-encoding"] = encoding
    assert output_of(v2.post(INFER, content=packed, headers=headers)).shape == (1, 3)
    for wrong in (b"", b"text", packed[:-5], packed + b"x", packed * 2):
        assert refused(v2.post(INFER, content=wrong, headers=headers))[0] == 400


@pytest.mark.parametrize("headers", [{}, {LENGTH: "100"}], ids=["json", "binary"])
def test_decompression_bomb_is_stopped_at_the_limit(
    server: LiveServer, v2: httpx.Client, headers: dict[str, str]
) -> None:
    bomb = gzip.compress(bytes(1024 * MIB), 9)
    assert len(bomb) < 2 * MIB
    packed = {"content-encoding": "gzip", **headers}
    peak = Watch(server).peak_during(lambda: v2.post(INFER, content=bomb, headers=packed))
    assert refused(v2.post(INFER, content=bomb, headers=packed))[0] == 413
    assert peak < 96


def test_a_hundred_megabytes_of_numbers_are_refused(server: LiveServer, v2: httpx.Client) -> None:
    def numbers() -> Iterator[bytes]:
        yield b'{"inputs": [{"data": ['
        for _ in range(100):
            yield b"0," * (MIB // 2)

    def send() -> None:
        assert refused(v2.post(INFER, content=b"0," * (50 * MIB)))[0] == 413
        with contextlib.suppress(httpx.WriteError):  # refused during the upload
            assert refused(v2.post(INFER, content=numbers()))[0] == 413

    assert Watch(server).peak_during(send) < 160


def test_inference_bodies_have_the_upload_limits(tmp_path: Path, colours: Path) -> None:
    limits = {
        "POTOO_LIMITS__MAX_BODY_BYTES": "2000",
        "POTOO_LIMITS__MAX_BATCH_BYTES": "20000",
        "POTOO_LIMITS__MAX_DECOMPRESSED_BYTES": "15000",
        "POTOO_LIMITS__MAX_TENSOR_BATCH": "2",
    }
    body, headers = in_bytes(ONE, SHAPE)  # 12 288 bytes of data
    with (
        serve(tmp_path, models=colours, arguments=(), **limits) as small,
        small.client(SCOPES) as client,
    ):
        assert output_of(client.post(INFER, content=body, headers=headers)).shape == (1, 3)
        assert refused(client.post(INFER, json=in_json(images(1))))[0] == 413
        two, of_two = in_bytes(images(2).tobytes(), [2, *SHAPE[1:]])
        assert refused(client.post(INFER, content=two, headers=of_two))[0] == 413
        spaces, of_spaces = in_bytes(b"", [0], parameters={"x": "a" * 3000})
        assert refused(client.post(INFER, content=spaces, headers=of_spaces))[0] == 413
        packed = {"content-encoding": "gzip"}
        inside = client.post(INFER, content=gzip.compress(body), headers=headers | packed)
        assert output_of(inside).shape == (1, 3)
        outside = gzip.compress(body + bytes(3000))
        assert refused(client.post(INFER, content=outside, headers=headers | packed))[0] == 413
        three, of_three = files_in_bytes(plain(), plain(), plain())
        status, error = refused(client.post(INFER, content=three, headers=of_three))
        assert (status, "1 to 2 items" in error) == (400, True)
        assert client.get("/v2/models/colours/config").json()["max_batch_size"] == 2


def test_json_numbers_are_budgeted_by_their_expanded_size(tmp_path: Path, colours: Path) -> None:
    limits = {"POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT": str(2 * MIB)}
    with (
        serve(tmp_path, models=colours, arguments=(), **limits) as small,
        small.client(SCOPES) as client,
    ):
        many = b'{"inputs": [{"data": [' + b"0," * 100_000 + b"0]}]}"
        status, _ = refused(client.post(INFER, content=many))
        assert status == 503, "they would be 5 MB once they are read"
        assert output_of(client.post(INFER, json=in_json(images(1)))).shape == (1, 3)


def test_rate_limit_has_the_v2_error_format(tmp_path: Path, colours: Path) -> None:
    limits = {"POTOO_AUTH__RATE_PER_PRINCIPAL": "3/hour"}
    with (
        serve(tmp_path, models=colours, arguments=(), **limits) as slow,
        slow.client(SCOPES) as client,
    ):
        answers = [client.post(INFER, json=in_json(images(1))) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused(answers[3])
    assert "ratelimit" in answers[0].headers


def test_wire_errors_have_the_v2_error_format(tmp_path: Path, colours: Path) -> None:
    limits = {"POTOO_LIMITS__BODY_TIMEOUT_SECONDS": "1", "POTOO_LIMITS__MAX_HEADER_BYTES": "5000"}
    with serve(tmp_path, models=colours, arguments=(), **limits) as impatient:
        token = bearer(impatient.token(SCOPES))["authorization"]
        head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n"
        with Connection(impatient.address) as connection:
            connection.send(f"{head}Content-Length: 100\r\n\r\nabc".encode())
            answer = connection.answer()
            assert (answer.status, set(json.loads(answer.body))) == (408, {"error"})
            assert answer.headers["content-type"] == "application/json"
        with Connection(impatient.address) as connection:
            connection.send(f"{head}X-Long: {'a' * 6000}\r\n\r\n".encode())
            answer = connection.answer()
            assert (answer.status, set(json.loads(answer.body))) == (431, {"error"})
            assert answer.headers["content-type"] == "application/json"
        with Connection(impatient.address) as connection:
            connection.send(f"{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n".encode())
            answer = connection.answer()
            assert (answer.status, set(json.loads(answer.body))) == (400, {"error"})


def test_mixed_requests_leak_no_memory(server: LiveServer, v2: httpx.Client) -> None:
    bodies = [json.dumps(body).encode() for body in BAD.values()]

    def round_of_requests() -> None:
        for body in bodies:
            v2.post(INFER, content=body)
        for _ in range(10):
            v2.post(INFER, json=in_json(images(8)))

    for _ in range(3):
        round_of_requests()
    watch = Watch(server)
    for _ in range(8):
        round_of_requests()
    assert watch.growth < 16
