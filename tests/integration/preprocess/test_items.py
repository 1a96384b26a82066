"""Many items in one call: a JSON a line, streamed in and out, over real sockets."""

from __future__ import annotations

import base64
import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.callers.raw_http import Connection
from tests.support.models.pictures import encoded, gradient, noise, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

PATH = "/v1/preprocess"
NDJSON = {"content-type": "application/x-ndjson"}
TEXT = base64.b64encode(plain()).decode()
GOOD = {"id": "good", "image": TEXT}


@pytest.fixture(scope="module")
def preparer(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("preprocess") as client:
        yield client


def ndjson(*items: object) -> bytes:
    """Lines of JSON; text is sent as it is."""
    return b"".join(
        (one.encode() if isinstance(one, str) else json.dumps(one).encode()) + b"\n"
        for one in items
    )


def answers(client: httpx.Client, body: bytes, query: str = "", **headers: str) -> list[Any]:
    answer = client.post(PATH + query, content=body, headers=NDJSON | headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


def codes(found: list[Any]) -> list[str]:
    return [one["error"]["code"] if "error" in one else "" for one in found]


def test_image_items_are_the_tensors_of_single_calls(preparer: httpx.Client) -> None:
    photos = [encoded(gradient((61, 47))), plain(), encoded(noise((40, 50)), "JPEG")]
    items = [
        {"id": number, "image": base64.b64encode(photo).decode(), "model": "colours"}
        for number, photo in enumerate(photos)
    ]
    for data in ("base64", "flat", "nested"):
        found = answers(preparer, ndjson(*items), f"?data={data}")
        for number, photo in enumerate(photos):
            single = preparer.post(
                f"{PATH}/image?data={data}", content=photo, headers={"content-type": "image/*"}
            ).json()
            del single["request_id"]
            assert found[number] == {"id": number, "result": single}


def test_options_of_the_call_hold_for_items_that_say_nothing(preparer: httpx.Client) -> None:
    items = [
        {"image": TEXT},
        {"image": TEXT, "model": "colours"},
        {"image": TEXT, "version": 1, "model": "colours"},
        {"image": TEXT, "version": 2},
    ]
    found = answers(preparer, ndjson(*items), "?model=nope")
    assert codes(found) == ["model_not_found", "", "", "model_not_found"]
    found = answers(preparer, ndjson(*items), "?model=colours&version=2")
    assert codes(found) == ["model_not_found", "", "", "model_not_found"]


BAD = {
    "no JSON": ("{", "invalid_request"),
    "not UTF-8": ('"\udcff"', "invalid_request"),
    "a lone surrogate": ('{"image": "\\ud800"}', "invalid_request"),
    "a list": ([1], "invalid_request"),
    "nesting": ("[" * 100_000, "invalid_request"),
    "nothing to prepare": ({"id": "x"}, "invalid_parameter"),
    "two kinds": ({"id": "x", "image": TEXT, "text": "a"}, "invalid_parameter"),
    "an unknown member": ({"id": "x", "image": TEXT, "top_k": 1}, "invalid_parameter"),
    "a bad model": ({"id": "x", "image": TEXT, "model": "../x"}, "invalid_parameter"),
    "a bad version": ({"id": "x", "image": TEXT, "version": "?"}, "invalid_parameter"),
    "a number for an image": ({"id": "x", "image": 1}, "invalid_parameter"),
    "no base64": ({"id": "x", "image": "???"}, "invalid_parameter"),
    "no bytes": ({"id": "x", "image": ""}, "invalid_image"),
    "no image": ({"id": "x", "image": base64.b64encode(b"x").decode()}, "unsupported_image"),
    "half an image": (
        {"id": "x", "image": base64.b64encode(plain()[:60]).decode()},
        "invalid_image",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_line_is_answered_and_the_stream_goes_on(preparer: httpx.Client, name: str) -> None:
    item, code = BAD[name]
    line = item.encode(errors="surrogateescape") + b"\n" if isinstance(item, str) else ndjson(item)
    found = answers(preparer, ndjson(GOOD) + line + ndjson(GOOD))
    assert codes(found) == ["", code, ""]
    assert [one["id"] for one in found] == ["good", found[1]["id"], "good"]
    assert found[1]["id"] == ("x" if isinstance(item, dict) else None)
    error = found[1]["error"]
    assert error["detail"].endswith(".")
    assert 400 <= error["status"] < 500


@pytest.mark.parametrize("number", [0, -1, 2**53, "", "ä" * 256, None])
def test_id_is_repeated(preparer: httpx.Client, number: object) -> None:
    (found,) = answers(preparer, ndjson({"id": number, "image": TEXT}))
    assert found["id"] == number
    assert "result" in found


@pytest.mark.parametrize("number", [1.5, True, [], {}, "x" * 257, 2**60])
def test_bad_id_is_refused_and_not_repeated(preparer: httpx.Client, number: object) -> None:
    (found,) = answers(preparer, ndjson({"id": number, "image": TEXT}))
    assert found["id"] is None
    assert codes([found]) == ["invalid_parameter"]


@pytest.mark.parametrize("body", [b"", b"\n\r\n \n", ndjson(GOOD)[:-1]])
def test_blank_lines_are_passed_over_and_the_last_needs_no_end(
    preparer: httpx.Client, body: bytes
) -> None:
    assert codes(answers(preparer, body)) == [""] * bool(body.strip())


def test_compressed_bodies_are_taken(preparer: httpx.Client) -> None:
    body = gzip.compress(ndjson(*[GOOD] * 30))
    headers = {"content-encoding": "gzip"}
    assert codes(answers(preparer, body, **headers)) == [""] * 30


def test_damaged_compression_is_a_problem_or_the_last_line(preparer: httpx.Client) -> None:
    headers = NDJSON | {"content-encoding": "gzip"}
    answer = preparer.post(PATH, content=b"no gzip", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    whole = gzip.compress(ndjson(GOOD) * 3 + noise((300, 300)).tobytes().hex().encode())
    answer = preparer.post(PATH, content=whole[:-10], headers=headers)
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert codes(found) == ["", "", "", "invalid_request"]
    assert found[-1]["id"] is None


@pytest.mark.parametrize(
    ("query", "headers", "refusal"),
    [
        ("", {"content-type": "application/json"}, (415, "unsupported_media_type")),
        ("", NDJSON | {"content-encoding": "br"}, (415, "unsupported_media_type")),
        ("", NDJSON | {"accept": "application/json"}, (406, "not_acceptable")),
        ("?data=hex", NDJSON, (422, "invalid_parameter")),
        ("?view=png", NDJSON, (422, "invalid_parameter")),
    ],
)
def test_bad_calls_are_problems(
    preparer: httpx.Client, query: str, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    answer = preparer.post(PATH + query, content=ndjson(GOOD), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == refusal


def test_call_needs_the_scope(server: LiveServer) -> None:
    with server.client("classify infer") as client:
        answer = client.post(PATH, content=ndjson(GOOD), headers=NDJSON)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


# A server with low limits, and connections by hand.

ESTABLISHED = 1
"""State of an open connection in Linux's TCP_INFO."""
LINE = 40_000
"""A line of this server's largest image, about, and of what is beside it."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("small")
    write_model(folder / "models")
    with serve(
        folder,
        models=folder / "models",
        POTOO_LIMITS__MAX_BODY_BYTES=str(LINE),
        POTOO_LIMITS__MAX_DECOMPRESSED_BYTES=str(3 * 2**20),
        POTOO_LIMITS__MAX_BODY_BYTES_IN_FLIGHT=str(2**21),
        POTOO_PREPROCESS__MAX_ITEMS="2000",
        POTOO_PREPROCESS__ITEMS_AT_A_TIME="3",
    ) as live:
        yield live


def opened(server: LiveServer, *headers: str) -> bytes:
    """The head of a call whose body is sent in chunks."""
    lines = (
        *(f"POST {PATH}?data=flat HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"),
        *(f"Authorization: Bearer {server.token('preprocess')}",),
        *("Content-Type: application/x-ndjson", *headers),
    )
    return "\r\n".join((*lines, "", "")).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LINE_END, BODY_END = b"}\n\r\n", b"0\r\n\r\n"


def read_to(connection: Connection, end: bytes) -> bytes:
    """Read to the end of the next answer, which is one chunk, or of the body."""
    received = b""
    while not received.endswith(end):
        data = connection.socket.recv(2**16)
        assert data, received
        received += data
    return received


def test_items_are_answered_while_the_body_is_sent(small: LiveServer) -> None:
    with Connection(small.address) as connection:
        connection.send(opened(small))
        line = ndjson(GOOD)
        for _ in range(3):
            connection.send(chunk(line[:50]))
            connection.send(chunk(line[50:]))
            assert b'"result"' in read_to(connection, LINE_END)
        connection.send(BODY_END)
        assert read_to(connection, BODY_END) == BODY_END


def test_too_long_lines_and_images_are_refused_and_others_are_not(small: LiveServer) -> None:
    large = base64.b64encode(bytes(LINE + 1)).decode()
    body = ndjson(GOOD, "x" * 200_000, GOOD, {"image": large}, GOOD)
    with small.client("preprocess") as client:
        assert codes(answers(client, body)) == [
            *("", "payload_too_large", "", "payload_too_large", "")
        ]


def test_too_many_items_end_the_call(small: LiveServer) -> None:
    with small.client("preprocess") as client:
        found = answers(client, b"{}\n" * 2002)
    assert len(found) == 2001
    assert codes(found[-2:]) == ["invalid_parameter", "payload_too_large"]


def test_bomb_ends_the_call_within_its_limit(small: LiveServer) -> None:
    bomb = gzip.compress(ndjson(GOOD) + bytes(2**27))
    with small.client("preprocess") as client:
        found = answers(client, bomb, **{"content-encoding": "gzip"})
    assert codes(found) == ["", "payload_too_large", "payload_too_large"]


def flood(connection: Connection, data: bytes, most: int) -> int:
    """Send until nothing is taken for a second; return the bytes sent."""
    connection.socket.settimeout(1.0)
    sent = 0
    while sent < most:
        try:
            sent += connection.socket.send(data)
        except TimeoutError:
            break
    return sent


def test_client_that_takes_no_answers_is_not_read_from(small: LiveServer) -> None:
    lines = chunk(ndjson(*[GOOD] * 300))
    memory = psutil.Process(small.process.pid).memory_info
    before = memory().rss
    with Connection(small.address, receive_buffer=4096) as connection:
        connection.send(opened(small))
        sent = flood(connection, lines, most=2**28)
        assert sent < 2**26, "the server went on reading"
        assert memory().rss - before < 2**26
        # Others are served meanwhile.
        with small.client("preprocess") as client:
            assert codes(answers(client, ndjson(GOOD))) == [""]
        assert wait_until(lambda: is_aborted(connection)), "it was kept"


def is_aborted(connection: Connection) -> bool:
    """Whether the server has reset a connection whose client reads nothing."""
    state = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return bool(state != ESTABLISHED)


def test_disconnected_clients_leave_nothing_behind(small: LiveServer) -> None:
    held = base64.b64encode(bytes(LINE // 2)).decode()
    for number in range(60):
        with Connection(small.address) as connection:
            connection.send(opened(small))
            connection.send(chunk(ndjson(*[{"image": held}] * 5) + held.encode()))
            if number % 2:
                connection.reset()
    # All of the byte budget is free again.
    with small.client("preprocess") as client:
        found = answers(client, ndjson(*[GOOD] * 20))
        assert codes(found) == [""] * 20
    assert "unexpected error" not in small.events()
    assert "Traceback" not in small.events()


def test_revoked_or_stopped_access_ends_the_call(small: LiveServer) -> None:
    with Connection(small.address) as connection:
        connection.send(opened(small))
        connection.send(chunk(ndjson(GOOD)))
        read_to(connection, LINE_END)
        token = small.tokens.pop("preprocess")[0]
        httpx.post(f"{small.url}/v1/auth/revoke", data={"token": token}).raise_for_status()
        connection.send(chunk(ndjson(GOOD)))
        assert b'"unauthenticated"' in read_to(connection, BODY_END)


def test_stopping_server_ends_the_call_with_a_line(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as live, Connection(live.address) as connection:
        connection.send(opened(live))
        connection.send(chunk(ndjson(GOOD)))
        read_to(connection, LINE_END)
        live.process.terminate()
        assert b'"not_ready"' in read_to(connection, BODY_END)
