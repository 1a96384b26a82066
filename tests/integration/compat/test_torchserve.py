"""TorchServe's inference API, called as its documentation calls it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.callers.raw_http import Connection
from tests.support.models.pictures import BLUE, GREEN, plain
from tests.support.servers.drop_in import SCOPES, TEMPERATURES, refused_by_torchserve, share
from tests.support.servers.server import LiveServer, serve

PREDICTIONS = "/predictions/colours"
VERSIONS = {"": 2, "/1": 1, "/2": 2, "/1.0": 1, "/2.0": 2}
FILE = plain(GREEN, format="JPEG")


@pytest.fixture(scope="module")
def torch(drop_in: LiveServer) -> Iterator[httpx.Client]:
    with drop_in.client(SCOPES) as client:
        yield client


def assert_green(answer: httpx.Response, version: int = 2) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, float] = answer.json()
    assert next(iter(found)) == "green", "best first"
    expected = share([0.0, 10.0, 0.0], TEMPERATURES[version])
    assert found["green"] == pytest.approx(expected[1], abs=1e-3)
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("place", "version"), VERSIONS.items())
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_raw_image_is_classified(
    torch: httpx.Client, method: str, place: str, version: int
) -> None:
    assert_green(torch.request(method, PREDICTIONS + place, content=FILE), version)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "text/plain", "x"])
def test_raw_image_is_accepted_with_any_content_type(torch: httpx.Client, kind: str) -> None:
    assert_green(torch.post(PREDICTIONS, content=FILE, headers={"content-type": kind}))


@pytest.mark.parametrize("field", ["data", "body"])
def test_image_in_a_form_is_classified(torch: httpx.Client, field: str) -> None:
    assert_green(torch.post(PREDICTIONS, files={field: ("kitten_small.jpg", FILE)}))
    others = {"model_name": "colours", "note": "ignored"}
    assert_green(torch.post(PREDICTIONS, files={field: FILE}, data=others))


def test_base64_in_a_form_field_is_classified(torch: httpx.Client) -> None:
    text = base64.b64encode(FILE).decode()
    assert_green(torch.post(PREDICTIONS, data={"data": text}))
    assert_green(torch.post(PREDICTIONS, files={"body": (None, text)}))


def test_raw_image_labelled_as_a_form_is_classified(torch: httpx.Client) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert_green(torch.post(PREDICTIONS, content=FILE, headers=headers))


def test_ping_needs_no_token_and_reports_healthy(drop_in: LiveServer) -> None:
    answer = httpx.get(f"{drop_in.url}/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})
    wrong = httpx.post(f"{drop_in.url}/ping")
    assert refused_by_torchserve(wrong)[:2] == (405, "MethodNotAllowedException")


@pytest.mark.parametrize("path", ["/predictions/nope", f"{PREDICTIONS}/9", f"{PREDICTIONS}/x"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_unknown_model_is_not_found(torch: httpx.Client, method: str, path: str) -> None:
    answer = torch.request(method, path, content=FILE)
    assert refused_by_torchserve(answer)[:2] == (404, "ModelNotFoundException")


@pytest.mark.parametrize("path", ["/predictions", "/predictions/", f"{PREDICTIONS}/1/2"])
def test_unknown_path_is_not_found(torch: httpx.Client, path: str) -> None:
    answer = torch.post(path, content=FILE)
    assert refused_by_torchserve(answer)[:2] == (404, "ResourceNotFoundException")


def test_other_method_is_refused_with_allow(torch: httpx.Client) -> None:
    answer = torch.get(PREDICTIONS)
    assert refused_by_torchserve(answer)[:2] == (405, "MethodNotAllowedException")
    assert answer.headers["allow"] == "POST, PUT"


@pytest.mark.parametrize(
    "body", [b"", b"text", plain(BLUE)[:60], b"\0" * 1000, b"\xff\xd8\xff"], ids=repr
)
def test_invalid_image_is_a_bad_request(torch: httpx.Client, body: bytes) -> None:
    for answer in (
        torch.put(PREDICTIONS, content=body),
        torch.post(PREDICTIONS, files={"data": ("a.jpg", body)}),
    ):
        assert refused_by_torchserve(answer)[:2] == (400, "BadRequestException")


def test_invalid_forms_are_bad_requests(torch: httpx.Client) -> None:
    for answer in (
        torch.post(PREDICTIONS, files={"image": FILE}),
        torch.post(PREDICTIONS, files=[("data", FILE), ("body", FILE)]),
        torch.post(PREDICTIONS, data={"data": "no base64!"}),
        torch.post(PREDICTIONS, data={"other": "aGk="}),
        torch.post(
            PREDICTIONS, content=b"x", headers={"content-type": "multipart/form-data; boundary=b"}
        ),
        torch.post(PREDICTIONS, content=b"x", headers={"content-type": "multipart/form-data"}),
    ):
        assert refused_by_torchserve(answer)[:2] == (400, "BadRequestException")


def test_wire_errors_have_the_torchserve_format(tmp_path: Path, colours: Path) -> None:
    settings = {
        "POTOO_COMPATIBILITY__TORCHSERVE": "true",
        "POTOO_LIMITS__BODY_TIMEOUT_SECONDS": "1",
        "POTOO_LIMITS__MAX_HEADER_BYTES": "5000",
        "POTOO_LIMITS__MAX_BODY_BYTES": "2000",
    }
    with serve(tmp_path, models=colours, arguments=(), **settings) as live:
        head = (
            f"PUT {PREDICTIONS} HTTP/1.1\r\nHost: a\r\n"
            f"Authorization: Bearer {live.token(SCOPES)}\r\n"
        )
        for rest, status, kind in (
            (b"Content-Length: 100\r\n\r\nabc", 408, b"RequestTimeoutException"),
            (b"X-Long: " + b"a" * 6000 + b"\r\n\r\n", 431, b"TooLongFrameException"),
            (b"Content-Length: 2001\r\n\r\n", 413, b"TooLongFrameException"),
            (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, b"BadRequestException"),
        ):
            with Connection(live.address) as connection:
                connection.send(head.encode() + rest)
                answer = connection.answer()
            assert (answer.status, kind in answer.body) == (status, True)
            assert answer.headers["content-type"] == "application/json"
