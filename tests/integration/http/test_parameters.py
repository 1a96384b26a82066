"""Invalid parameters, names and JSON; unsupported methods and media types."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.callers.answers import assert_tells_nothing, problem_of, refusal
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

INVALID = (422, "invalid_parameter")
PICTURE = base64.b64encode(plain()).decode()

QUERIES = {
    "top_k": ["-1", "0", "101", "abc", "1e3", "5.5", "", "%20", "NaN", "inf", "true", "null", "[]", "0x5", "%D9%A5", "5%00", "9" * 30, "9" * 4000],
    "timeout_ms": ["-1", "0", "600001", "abc", "1.5", "", "1e3", "NaN", "9" * 30],
    "model": ["", ".", "..", "../colours", "..%2F..%2Fetc%2Fpasswd", "%2e%2e%2fcolours", "..%5C..%5Ccolours", "%252e%252e", "colours%2F1", "colours%00", "colours%0A", "%0D%0AX-Injected:1", "%E2%80%AEsruoloc", "%EF%BC%8E%EF%BC%8E", "a" * 65, "a" * 3000, "file:%2F%2F%2Fetc", "-rf", "%FF%FE", "{{7*7}}", "%24%7B7*7%7D", "'%20OR%20'1'='1"],
}  # fmt: skip
BAD_QUERIES = {
    **{f"{name}={value:.40}": f"{name}={value}" for name, values in QUERIES.items() for value in values},
    "a parameter twice": "top_k=1&top_k=1",
    "a parameter twice, with other values": "top_k=1&model=colours&top_k=2",
    "a semicolon between": "top_k=1;model=colours",
    "an unknown parameter": "topk=1",
    "another case": "Top_K=1",
    "an array": "top_k[]=1",
    "no name": "=1",
    "NUL in a name": "top_k%00=1",
    "a name with slashes": "/~=1",
    "an emoji": "%F0%9F%98%80=1",
    "a name of 4,000 letters": "a" * 4000 + "=1",
}  # fmt: skip
BODIES = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "text": b'"image"',
    "a number": b"1",
    "no members": b"{}",
    "another member": b'{"photo":"aGVsbG8="}',
    "an additional member": json.dumps({"image": PICTURE, "top_k": 1}).encode(),
    "null as image": b'{"image":null}',
    "a number as image": b'{"image":1}',
    "a list as image": b'{"image":["aGVsbG8="]}',
    "an object as image": b'{"image":{"b64":"aGVsbG8="}}',
    "NaN": b'{"image":NaN}',
    "-Infinity": b'{"image":-Infinity}',
    "a number beyond float": b'{"image":1e99999}',
    "100,000 digits": b'{"image":' + b"9" * 100_000 + b"}",
    "100,000 lists deep": b'{"image":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "50,000 objects deep": b'{"a":' * 50_000,
    "1,000,000 brackets": b"[" * 1_000_000,
    "a lone surrogate": b'{"image":"\\ud800"}',
    "a surrogate as name": b'{"\\ud800":1}',
    "NUL": b'{"image":"\\u0000"}',
    "a raw line break": b'{"image":"a\nb"}',
    "raw bytes": b'{"image":"\xff\xfe"}',
    "UTF-16": json.dumps({"image": PICTURE}).encode("utf-16"),
    "data after it": b'{"image":"aGVsbG8="} {}',
    "cut short": b'{"image":"aGVs',
    "comments": b'{"image":/* a */"aGVsbG8="}',
    "1,000 more members": json.dumps({f"k{number}": 1 for number in range(1000)}).encode(),
}
IMAGES = {
    "not base64": "!!!!",
    "one letter": "A",
    "padding inside": "AA==AAAA",
    "other letters": "aGVsbG8\N{FULLWIDTH EQUALS SIGN}",
    "a data URL in plain text": "data:,hello",
    "a data URL in percent signs": "data:image/svg+xml;utf8,%3Csvg/%3E",
    "a data URL that is not in base64": f"data:image/png,{PICTURE}",
    "only its scheme": "data:",
    "a file": "file:///etc/passwd",
    "a path": "../../etc/passwd",
    "a share": "\\\\localhost\\share\\a.png",
    "another scheme": "gopher://localhost/",
    "a URL without a scheme": "//localhost/a.png",
    "a URL in percent signs": "http%3A%2F%2Flocalhost%2F",
}


def post(client: httpx.Client, query: str = "", **headers: str) -> httpx.Response:
    """Classify a valid picture."""
    headers = {"content-type": "image/png", **headers}
    return client.post(f"/v1/classify?{query}", content=plain(), headers=headers)


@pytest.fixture(autouse=True)
def _serves_on(client: httpx.Client) -> Iterator[None]:
    """Check after every test that the next caller is served."""
    yield
    assert post(client).status_code == 200


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/classify/batch"])
def test_invalid_parameter_is_refused_and_named(
    client: httpx.Client, path: str, query: str
) -> None:
    answer = client.post(f"{path}?{query}", files={"file": plain()})
    assert refusal(answer) == INVALID
    assert problem_of(answer)["errors"][0]["pointer"].startswith("/query/")
    assert len(answer.content) < 16_384


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("top_k=101", "top_k: Input should be less than or equal to 100."),
        (
            "version=Stable",
            "version: Input should be a version number of 1 or more, or a label such as 'stable'.",
        ),
        ("top_k=2&top_k=3", "top_k: Given more than once."),
        ("tops=1", "tops: Extra inputs are not permitted."),
        ("top_k=0&tops=1", "Some values of the request are not valid."),
    ],
)
def test_only_violation_is_the_detail(client: httpx.Client, query: str, detail: str) -> None:
    assert problem_of(post(client, query))["detail"] == detail


@pytest.mark.parametrize("value", ["5_0", "1_00"])
def test_number_with_underscores_is_refused(client: httpx.Client, value: str) -> None:
    assert refusal(post(client, f"top_k={value}")) == INVALID


def test_overlong_query_is_refused(client: httpx.Client) -> None:
    assert refusal(post(client, "a" * 5000)) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["nope", "COLOURS", "colours.", "colours.onnx", "a" * 64])
def test_an_unknown_model_is_not_found(client: httpx.Client, name: str) -> None:
    assert refusal(post(client, f"model={name}")) == (404, "model_not_found")


@pytest.mark.parametrize("name", QUERIES["model"])
def test_model_path_as_a_name_is_not_found(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/v1/models/{name}")
    if name in {"", "."}:  # clients normalise the path to that of the list
        assert answer.status_code == (200 if name else 404)
        assert_tells_nothing(answer)
    else:
        assert refusal(answer)[0] == 404


def test_unreachable_timeout_is_a_gateway_timeout(client: httpx.Client) -> None:
    picture = plain(size=(3000, 2000))
    for _ in range(20):
        answer = client.post("/v1/classify?timeout_ms=1", files={"file": picture})
        if answer.status_code != 200:
            break
    assert refusal(answer) == (504, "deadline_exceeded")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_json_without_exactly_one_image_is_refused(client: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert refusal(answer) == INVALID
    assert len(answer.content) < 16_384


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_invalid_base64_image_is_refused(client: httpx.Client, image: str) -> None:
    answer = client.post("/v1/classify", json={"image": image})
    assert refusal(answer) == INVALID
    assert problem_of(answer)["errors"][0]["pointer"] == "/body/image"


@pytest.mark.parametrize("image", ["", "data:image/png;base64"])
def test_base64_of_no_bytes_is_an_invalid_image(client: httpx.Client, image: str) -> None:
    answer = client.post("/v1/classify", json={"image": image})
    assert refusal(answer) == (422, "invalid_image")
    assert problem_of(answer)["detail"] == "The image has no bytes."
    assert problem_of(answer)["errors"][0]["pointer"] == "/body/image"


def test_last_of_duplicate_json_members_is_used(client: httpx.Client) -> None:
    body = f'{{"image":"{base64.b64encode(b"x").decode()}","image":"{PICTURE}"}}'
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert answer.json()["predictions"][0]["label"] == "red"


def test_url_in_place_of_an_image_is_never_fetched(client: httpx.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/a.png"
        for image in (url, url.upper(), f" {url}", f"data:image/png;base64,{url}"):
            answer = client.post("/v1/classify", json={"image": image})
            assert refusal(answer) == INVALID
        bait.settimeout(0.2)
        with pytest.raises(TimeoutError):
            bait.accept()


@pytest.mark.parametrize(
    "accept",
    ["text/html", "image/*", "application/json;q=0", "*/*;q=0", "text/html;q=1, image/png", "a/b"],
)
def test_accept_header_without_json_is_not_acceptable(client: httpx.Client, accept: str) -> None:
    assert refusal(post(client, accept=accept)) == (406, "not_acceptable")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "text/html, application/json;q=0.1", "APPLICATION/JSON", "application/problem+json"],
)  # fmt: skip
def test_accept_header_with_json_is_accepted(client: httpx.Client, accept: str) -> None:
    assert post(client, accept=accept).status_code == 200


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/classify/batch", "/v1/auth/token"])
def test_other_methods_are_refused_with_allow(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert refusal(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_support_head(client: httpx.Client, path: str) -> None:
    assert_has_head(client, path)


@pytest.mark.parametrize("path", ["/metrics", "/v1/models", "/.well-known/jwks.json", "/docs"])
def test_readable_resources_support_head(client: httpx.Client, path: str) -> None:
    assert_has_head(client, path)


def assert_has_head(client: httpx.Client, path: str) -> None:
    """RFC 9110, section 9.3.2."""
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1", "/v1/", "/v1/classify/", "/v1//classify", "//v1/classify", "/V1/CLASSIFY", "/%76%31/nope", "/admin", "/debug", "/.env", "/.git/config", "/server-status", "/v2/models/../../etc", "/static/../answers.py", "/static/%2e%2e/%2e%2e/settings.py", "/static//etc/passwd", "/static/..%5c..%5csettings.py", "/static/", "/%00", "/%0d%0aX-Injected:%201", "/" + "a" * 10_000],
)  # fmt: skip
def test_unknown_path_is_not_found(server: LiveServer, path: str) -> None:
    with httpx.Client(base_url=server.url) as stranger:
        answer = stranger.get(path)
    assert refusal(answer) == (404, "not_found")
    assert "x-injected" not in answer.headers
