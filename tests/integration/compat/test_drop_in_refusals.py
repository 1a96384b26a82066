"""Invalid and hostile calls of the drop-in endpoints: errors in the original server's format."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import add_person, bearer
from tests.support.callers.answers import problem_of
from tests.support.callers.raw_http import Connection
from tests.support.callers.tensors import images, refused
from tests.support.models.pictures import RED, plain
from tests.support.servers.drop_in import SCOPES, b64, opened, refused_by_torchserve
from tests.support.servers.memory import Watch
from tests.support.servers.server import LiveServer

MIB = 2**20
PREDICT, CLASSIFY = "/v1/models/colours:predict", "/v1/models/colours:classify"
FILE = b64(plain(RED))
ROW = images(1)[0].tolist()


def by_problem(answer: httpx.Response) -> int:
    problem_of(answer)
    return answer.status_code


def by_error(answer: httpx.Response) -> int:
    return refused(answer)[0]


def by_torchserve(answer: httpx.Response) -> int:
    return refused_by_torchserve(answer)[0]


DOORS: dict[str, tuple[str, str, Callable[[httpx.Response], int]]] = {
    PREDICT: ("POST", "infer", by_error),
    "/v1/models/colours/versions/1:predict": ("POST", "infer", by_error),
    "/v1/models/colours/labels/stable:predict": ("POST", "infer", by_error),
    CLASSIFY: ("POST", "classify", by_error),
    "/v1/models/colours/versions/1:classify": ("POST", "classify", by_error),
    "/v1/models/colours/labels/stable:classify": ("POST", "classify", by_error),
    "/v1/models/colours/versions/1": ("GET", "models:read", by_error),
    "/v1/models/colours/labels/stable": ("GET", "models:read", by_error),
    "/v1/models/colours/metadata": ("GET", "models:read", by_error),
    "/v1/models/colours/versions/1/metadata": ("GET", "models:read", by_error),
    "/v1/models/colours/labels/stable/metadata": ("GET", "models:read", by_error),
    "/predictions/colours": ("PUT", "classify", by_torchserve),
    "/predictions/colours/1": ("POST", "classify", by_torchserve),
    "/predict": ("POST", "classify", by_problem),
}
"""Method, scope and error format of each."""
CALLS = [path for path, (method, _, _) in DOORS.items() if method != "GET"]


@pytest.fixture(scope="module")
def door(drop_in: LiveServer) -> Iterator[httpx.Client]:
    with drop_in.client(SCOPES) as client:
        yield client
        assert client.post(PREDICT, json={"instances": [FILE]}).status_code == 200


@pytest.mark.parametrize("path", DOORS)
def test_every_endpoint_requires_a_token_and_its_scope(drop_in: LiveServer, path: str) -> None:
    method, scope, manner = DOORS[path]
    url = drop_in.url + path
    assert manner(httpx.request(method, url)) == 401
    assert manner(httpx.request(method, url, headers=bearer("no token"))) == 401
    others = " ".join({"infer", "models:read", "models:write", "classify"} - {scope})
    answer = httpx.request(method, url, headers=bearer(drop_in.token(others)))
    assert manner(answer) == 403
    assert scope in answer.text


@pytest.mark.parametrize("path", DOORS)
def test_account_without_the_model_is_refused(drop_in: LiveServer, path: str) -> None:
    method, scope, manner = DOORS[path]
    person = add_person(drop_in, scopes=[scope], models=["others"])
    headers = bearer(person.sign_in()["access_token"])
    assert manner(httpx.request(method, drop_in.url + path, headers=headers)) == 403


ANY: dict[str, Any] = {
    "nothing": {},
    "no list": {"instances": 1, "examples": 1},
    "an object for a list": {"instances": {"b64": "aGk="}, "examples": {"b64": "aGk="}},
    "an empty list": {"instances": [], "examples": []},
    "nulls": {"instances": [None], "examples": [None]},
    "booleans": {"instances": [True], "examples": [False]},
    "texts": {"instances": ["aGk="], "examples": ["aGk="]},
    "65 items": {"instances": [FILE] * 65, "examples": [{"image": FILE}] * 65},
    "empty objects": {"instances": [{}], "examples": [{}]},
    "b64 that is not a string": {"instances": [{"b64": 1}], "examples": [{"x": {"b64": 1}}]},
    "invalid b64": {"instances": [{"b64": "a.b"}], "examples": [{"x": {"b64": "a.b"}}]},
    "empty b64": {"instances": [{"b64": ""}], "examples": [{"x": {"b64": ""}}]},
    "b64 of text": {"instances": [{"b64": "aGk="}], "examples": [{"x": {"b64": "aGk="}}]},
    "b64 with another member": {
        "instances": [{"b64": "aGk=", "x": 1}],
        "examples": [{"x": {"b64": "aGk=", "y": 1}}],
    },
    "two images in one": {
        "instances": [{"a": FILE, "b": FILE}],
        "examples": [{"a": FILE, "b": FILE}],
    },
    "a valid and an invalid image": {
        "instances": [FILE, b64(b"text")],
        "examples": [{"x": FILE}, {"x": b64(plain()[:60])}],
    },
    "a URL": {
        "instances": [{"b64": "http://127.0.0.1/"}],
        "examples": [{"x": {"b64": "file:///etc/passwd"}}],
    },
}


@pytest.mark.parametrize("body", ANY.values(), ids=ANY)
@pytest.mark.parametrize("path", [PREDICT, CLASSIFY])
def test_malformed_json_document_is_a_bad_request(door: httpx.Client, path: str, body: Any) -> None:
    assert refused(door.post(path, json=body))[0] == 400


TENSORS: dict[str, Any] = {
    "another shape": {"instances": [[[1.0]]]},
    "one axis less": {"instances": ROW},
    "ragged lists": {"instances": [ROW, ROW[:2]]},
    "one level deeper": {"instances": [[*ROW[:2], [[1.0]]]]},
    "a flat row": {"instances": [images(1).ravel().tolist()]},
    "strings for numbers": {"instances": [[[["a"] * 32] * 32] * 3]},
    "booleans for numbers": {"instances": [[[[True] * 32] * 32] * 3]},
    "an unknown input": {"instances": [{"pixels": ROW}]},
    "two inputs": {"instances": [{"image": ROW, "mask": ROW}]},
    "a hostile name": {"instances": [{"../../etc/passwd\x00<script>": ROW}]},
    "tensors and images": {"instances": [ROW, FILE]},
    "images and tensors": {"instances": [{"x": FILE}, {"image": ROW}]},
    "rows and columns": {"instances": [ROW], "inputs": [ROW]},
    "empty columns": {"inputs": {}},
    "a column of another name": {"inputs": {"pixels": [ROW]}},
    "65 in a column": {"inputs": [FILE] * 65},
    "a column that is a number": {"inputs": 1},
    "a column that is null": {"inputs": None},
    "a deep column": {"inputs": [[[[[[[[[[[1]]]]]]]]]]]},
    "nested empty lists": {"instances": [[[]]]},
    "a number that is too large": {"instances": [[[[10**400] * 32] * 32] * 3]},
}


@pytest.mark.parametrize("body", TENSORS.values(), ids=TENSORS)
def test_mismatched_tensors_are_bad_requests(door: httpx.Client, body: Any) -> None:
    assert refused(door.post(PREDICT, json=body))[0] == 400


def test_bad_image_is_named_by_position(door: httpx.Client) -> None:
    for path, body in (
        (PREDICT, {"instances": [FILE, b64(b"text")]}),
        (PREDICT, {"inputs": [FILE, {"b64": "?"}]}),
        (CLASSIFY, {"examples": [{"x": FILE}, {"x": b64(b"text")}]}),
        (CLASSIFY, {"examples": [{"x": FILE}, {"x": 1}]}),
    ):
        status, error = refused(door.post(path, json=body))
        assert (status, error.startswith("Image 1: ")) == (400, True)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 10**6, b'{"a":' * 10**5, b'{"x": NaN}', b"null"]
)
@pytest.mark.parametrize("path", [PREDICT, CLASSIFY])
def test_invalid_json_is_a_bad_request(door: httpx.Client, path: str, body: bytes) -> None:
    assert refused(door.post(path, content=body))[0] == 400


def test_non_finite_answers_are_refused(door: httpx.Client) -> None:
    rows = [[[[3e38] * 32] * 32] * 3]
    status, error = refused(door.post(PREDICT, json={"instances": rows}))
    assert (status, "finite" in error) == (400, True)


@pytest.mark.parametrize("path", CALLS)
def test_unsupported_content_encodings_are_refused(door: httpx.Client, path: str) -> None:
    method, _, manner = DOORS[path]
    headers = {"content-encoding": "br", "content-type": "application/x-www-form-urlencoded"}
    assert manner(door.request(method, path, content=b"x", headers=headers)) == 415


@pytest.mark.parametrize("path", [PREDICT, CLASSIFY])
def test_decompression_bomb_is_stopped_at_the_limit(
    drop_in: LiveServer, door: httpx.Client, path: str
) -> None:
    bomb = gzip.compress(bytes(1024 * MIB), 9)
    packed = {"content-encoding": "gzip"}
    peak = Watch(drop_in).peak_during(lambda: door.post(path, content=bomb, headers=packed))
    assert refused(door.post(path, content=bomb, headers=packed))[0] == 413
    assert peak < 96


def test_form_of_escapes_uses_bounded_memory(drop_in: LiveServer, door: httpx.Client) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"image=" + b"%2B" * (8 * MIB), b"data=" + b"%41" * (8 * MIB), b"&" * (20 * MIB)):

        def send(body: bytes = body) -> None:
            assert by_problem(door.post("/predict", content=body, headers=headers)) in {
                400,
                413,
                415,
            }
            answer = door.post("/predictions/colours", content=body, headers=headers)
            assert by_torchserve(answer) in {400, 413, 415}

        assert Watch(drop_in).peak_during(send) < 160


def test_body_of_a_hundred_megabytes_is_refused(drop_in: LiveServer, door: httpx.Client) -> None:
    def numbers() -> Iterator[bytes]:
        yield b'{"instances": ['
        for _ in range(100):
            yield b"0," * (MIB // 2)

    def send() -> None:
        for path in CALLS:
            method, _, manner = DOORS[path]
            headers = {"content-type": "application/x-www-form-urlencoded"}
            with contextlib.suppress(httpx.WriteError):  # refused during the upload
                answer = door.request(method, path, content=numbers(), headers=headers)
                assert manner(answer) == 413

    assert Watch(drop_in).peak_during(send) < 160


@pytest.mark.parametrize("path", CALLS)
def test_oversized_body_is_refused_before_it_is_sent(drop_in: LiveServer, path: str) -> None:
    method = DOORS[path][0]
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {drop_in.token(SCOPES)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999999\r\n\r\n"
    )
    with Connection(drop_in.address) as connection:
        connection.send(head.encode())
        assert connection.answer().status == 413


def test_expanded_numbers_and_image_sizes_are_limited(tmp_path: Path) -> None:
    limits = {
        "POTOO_LIMITS__MAX_BODY_BYTES": str(3 * MIB),
        "POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT": str(14 * MIB),
        "POTOO_LIMITS__MAX_TENSOR_BATCH": "2",
    }
    with opened(tmp_path, **limits) as small, small.client(SCOPES) as client:
        many = b'{"instances": [' + b"0," * 400_000 + b"0]}"
        assert by_error(client.post(PREDICT, content=many)) == 503, "19 MB once they are read"
        for body in ({"instances": [FILE] * 3}, {"inputs": [FILE] * 3}):
            assert refused(client.post(PREDICT, json=body))[0] == 400
        assert client.post(PREDICT, json={"instances": [FILE] * 2}).status_code == 200
        three = {"examples": [{"x": FILE}] * 3}
        assert "1 to 2" in refused(client.post(CLASSIFY, json=three))[1]
        large = plain() + bytes(3 * MIB)
        assert by_problem(client.post("/predict", files={"image": large})) == 413
        text = base64.b64encode(large).decode()
        assert by_problem(client.post("/predict", data={"image": text})) == 413


def test_rate_limit_has_the_error_format_of_each_endpoint(tmp_path: Path) -> None:
    with opened(tmp_path, POTOO_AUTH__RATE_PER_PRINCIPAL="1/hour") as slow:
        person = add_person(slow, scopes=["classify", "infer", "models:read"])
        headers = bearer(person.sign_in()["access_token"])
        with httpx.Client(base_url=slow.url, headers=headers) as client:
            client.get("/v1/models")
            for path, (method, _, manner) in DOORS.items():
                answer = client.request(method, path)
                assert manner(answer) == 429
                assert int(answer.headers["retry-after"]) >= 1


def test_predictions_are_counted_by_protocol(drop_in: LiveServer, door: httpx.Client) -> None:
    def counts() -> dict[str, float]:
        lines = httpx.get(f"{drop_in.url}/metrics").text.splitlines()
        name = 'potoo_predictions_total{model="colours",protocol="'
        found = [one.removeprefix(name).split('"} ') for one in lines if one.startswith(name)]
        return {protocol: float(value) for protocol, value in found}

    before = counts()
    door.post(PREDICT, json={"instances": [FILE] * 2})
    door.post(CLASSIFY, json={"examples": [{"x": FILE}] * 3})
    door.put("/predictions/colours", content=plain())
    door.post("/predict", files={"image": plain()})
    after = counts()
    more = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert more == {"tf_serving": 5, "torchserve": 1, "predict": 1}
    assert "kserve_v1" in after, "its series is there before it is called"


def test_mixed_calls_leak_no_memory(drop_in: LiveServer, door: httpx.Client) -> None:
    bodies = [json.dumps(body).encode() for body in (*ANY.values(), *TENSORS.values())]

    def round_of_calls() -> None:
        for body in bodies:
            door.post(PREDICT, content=body)
            door.post(CLASSIFY, content=body)
        for _ in range(5):
            door.post(PREDICT, json={"instances": [FILE] * 8})
            door.put("/predictions/colours", content=plain())

    for _ in range(3):
        round_of_calls()
    watch = Watch(drop_in)
    for _ in range(6):
        round_of_calls()
    assert watch.growth < 16
