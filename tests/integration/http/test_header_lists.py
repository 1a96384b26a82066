"""Several lines of one header are one list (RFC 9110, section 5.3), for every list header."""

from __future__ import annotations

import zlib

import httpx
import pytest

from tests.support.callers.accounts import bearer
from tests.support.callers.raw_http import Connection
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def lines(name: str, *values: str) -> list[tuple[str, str]]:
    return [(name, value) for value in values]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (["text/html, application/json"], 200),
        (["text/html", "application/json"], 200),
        (["application/json", "text/plain"], 200),
        (["text/html", "image/*", "*/*"], 200),
        (["", "text/html"], 406),
        (["text/html", "text/plain"], 406),
        (["text/html", "application/json;q=0"], 406),
        (['text/html;x="a, application/json"', "text/plain"], 406),
    ],
)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/models"])
def test_accept_lines_are_one_list(
    server: LiveServer, path: str, accept: list[str], status: int
) -> None:
    headers = [*bearer(server.token()).items(), *lines("accept", *accept)]
    with httpx.Client(base_url=server.url) as client:
        del client.headers["accept"]
        if path == "/v1/models":
            answer = client.get(path, headers=headers)
        else:
            headers.append(("content-type", "image/png"))
            answer = client.post(path, content=plain(), headers=headers)
    assert answer.status_code == status, answer.text


def test_metrics_format_follows_the_second_accept_line(server: LiveServer) -> None:
    headers = lines("accept", "text/html", OPENMETRICS)
    answer = httpx.get(f"{server.url}/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


def test_second_accept_encoding_line_chooses_the_encoding(server: LiveServer) -> None:
    """The labels of many items are longer than a kilobyte."""
    count = 64 * 3 * 32 * 32
    tensor = {"name": "image", "datatype": "FP32", "shape": [64, 3, 32, 32], "data": [0.5] * count}
    labels = {"name": "logits", "parameters": {"classification": 3}}
    headers = [
        *bearer(server.token("infer")).items(),
        *lines("accept-encoding", "br", "gzip;q=0", "deflate"),
    ]
    with (
        httpx.Client(base_url=server.url) as client,
        client.stream(
            "POST",
            "/v2/models/colours/infer",
            json={"inputs": [tensor], "outputs": [labels]},
            headers=headers,
        ) as answer,
    ):
        body = b"".join(answer.iter_raw())
    assert (answer.status_code, answer.headers.get("content-encoding")) == (200, "deflate"), body
    assert b'"outputs"' in zlib.decompress(body)


def test_second_connection_line_ends_the_connection(server: LiveServer) -> None:
    ways = {
        "Connection: keep-alive\r\nConnection: close\r\n": True,
        "Connection: foo\r\nConnection: Close\r\n": True,
        "Connection: foo\r\nConnection: keep-alive\r\n": False,
    }
    for written, ends in ways.items():
        with Connection(server.address) as client:
            client.send(f"GET /healthz HTTP/1.1\r\nHost: a\r\n{written}\r\n".encode())
            answer = client.answer()
            assert answer.status == 200
            assert (answer.headers.get("connection") == "close") == ends, written


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"a, b", W/{}', "*"])
@pytest.mark.parametrize("before", [[], ['"older"']])
def test_known_tags_of_a_file_are_a_list(server: LiveServer, before: list[str], form: str) -> None:
    url = f"{server.url}/static/app.js"
    tag = httpx.get(url).headers["etag"]
    known = httpx.get(url, headers=lines("if-none-match", *before, form.format(tag)))
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    other = httpx.get(url, headers=lines("if-none-match", *before, f'"x{tag[1:]}'))
    assert other.status_code == 200
