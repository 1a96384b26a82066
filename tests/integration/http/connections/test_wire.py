"""HTTP/1.1 framing: unambiguous messages only (RFC 9112)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.callers.raw_http import Connection, exchange, get
from tests.support.servers.server import LiveServer


@pytest.fixture(scope="module", autouse=True)
def _nothing_fails_inside(server: LiveServer) -> Iterator[None]:
    """Check after all tests that the log has no server fault."""
    before = len(server.events())
    yield
    assert "Traceback" not in server.events()[before:]


GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/classify HTTP/1.1\r\nHost: a\r\n"
# A request smuggled in a body: if it is processed, a response has this id.
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-ID: smuggled\r\nConnection: close\r\n\r\n"
EMPTY_CHUNKED = b"0\r\n\r\n" + HIDDEN

SMUGGLING = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    + EMPTY_CHUNKED,
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    + EMPTY_CHUNKED,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 99\r\n\r\n" + HIDDEN,
    "the same length twice": b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a list of lengths": b"Content-Length: 0,0\r\n\r\n" + HIDDEN,
    "two lengths in one": b"Content-Length: 0 99\r\n\r\n" + HIDDEN,
    "a length with plus": b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a length with minus": b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length in hex": b"Content-Length: 0x10\r\n\r\n" + HIDDEN,
    "a length with underscore": b"Content-Length: 1_0\r\n\r\n" + HIDDEN,
    "a length in Arabic digits": b"Content-Length: \xd9\xa1\r\n\r\n" + HIDDEN,
    "a length after a vertical tab": b"Content-Length: \x0b0\r\n\r\n" + HIDDEN,
    "an empty length": b"Content-Length: \r\n\r\n" + HIDDEN,
    "a length beyond 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n" + HIDDEN,
    "xchunked": b"Transfer-Encoding: xchunked\r\n\r\n" + EMPTY_CHUNKED,
    "chunked twice in one": b"Transfer-Encoding: chunked, chunked\r\n\r\n" + EMPTY_CHUNKED,
    "chunked twice": b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + EMPTY_CHUNKED,
    "chunked, then identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
    + EMPTY_CHUNKED,
    "identity": b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n" + EMPTY_CHUNKED,
    "chunked with a parameter": b"Transfer-Encoding: chunked;a=b\r\n\r\n" + EMPTY_CHUNKED,
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n\r\n' + EMPTY_CHUNKED,
    "no coding at all": b"Transfer-Encoding:\r\n\r\n" + EMPTY_CHUNKED,
    "a folded coding": b"Transfer-Encoding:\r\n chunked\r\n\r\n" + EMPTY_CHUNKED,
    "a coding after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + EMPTY_CHUNKED,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n" + EMPTY_CHUNKED,
    "a chunk size of letters": b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n" + EMPTY_CHUNKED,
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n" + EMPTY_CHUNKED,
    "a chunk size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n" + EMPTY_CHUNKED,
    "a chunk beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n"
    + EMPTY_CHUNKED,
    "a chunk that ends elsewhere": b"Transfer-Encoding: chunked\r\n\r\n2\r\nabXX" + EMPTY_CHUNKED,
    "chunk lines of bare LF": b"Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n" + HIDDEN,
    "a bare LF in a chunk extension": b"Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\nab\r\n"
    + EMPTY_CHUNKED,
    "a space after the chunk size": b"Transfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n"
    + EMPTY_CHUNKED,
    "an upgrade before a body": b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd"
    + HIDDEN,
    "a WebSocket upgrade before chunks": b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + EMPTY_CHUNKED,
    "a body after Connection: close": b"Connection: close\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
}
INVALID = {
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: b\r\n\r\n",
    "a folded header": GET + b"X: 1\r\n 2\r\n\r\n",
    "a folded first header": b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n",
    "a space before a colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "bare LF": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "one bare LF": b"GET /healthz HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR": b"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "NUL in a name": GET + b"X\0: b\r\n\r\n",
    "NUL in a value": GET + b"X: b\0c\r\n\r\n",
    "NUL in the path": b"GET /heal\0thz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path of raw UTF-8": b"GET /h\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path with a space": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "tabs in the request line": b"GET\t/healthz\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "a target in authority form": b"GET example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without a path": b"GET http://example.org HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "an unknown method": b"POTOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/3.0": b"GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n",
    "HTTP/1.0 with chunks": b"POST /v1/classify HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
    + EMPTY_CHUNKED,
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a TLS handshake": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "every byte value": bytes(range(256)) * 4,
}
TOO_LARGE = {
    "one header of 70 kB": GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "one header of 4 MB": GET + b"X: " + b"a" * 4_000_000 + b"\r\n\r\n",
    "a header's name of 70 kB": GET + b"a" * 70_000 + b": b\r\n\r\n",
    "20,000 headers": GET + b"a:b\r\n" * 20_000 + b"\r\n",
    "a path of 70 kB": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "70 kB of empty lines": b"\r\n" * 35_000,
    "a trailer of 70 kB": POST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "
    + b"a" * 70_000
    + b"\r\n\r\n",
    "20,000 trailers": POST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"X: a\r\n" * 20_000
    + b"\r\n",
}


@pytest.fixture(autouse=True)
def _serves_on(server: LiveServer) -> object:
    """Check after every test that the process lives and answers the next client."""
    yield
    assert server.process.poll() is None
    assert get(server.address).status == 200


@pytest.mark.parametrize("hidden", SMUGGLING.values(), ids=SMUGGLING)
def test_smuggled_request_is_never_answered(server: LiveServer, hidden: bytes) -> None:
    answers = exchange(server.address, POST + hidden)
    assert len(answers) == 1
    assert answers[0].status in {400, 401}
    assert answers[0].problem["request_id"] != "smuggled"


@pytest.mark.parametrize("request_", INVALID.values(), ids=INVALID)
def test_invalid_http_is_refused_as_a_problem(server: LiveServer, request_: bytes) -> None:
    (answer,) = exchange(server.address, request_)
    assert (answer.status, answer.problem["code"]) == (400, "invalid_request")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("request_", TOO_LARGE.values(), ids=TOO_LARGE)
def test_headers_above_64_kib_are_refused(server: LiveServer, request_: bytes) -> None:
    (answer,) = exchange(server.address, request_)
    assert (answer.status, answer.problem["code"]) == (431, "payload_too_large")


def test_headers_just_below_the_limit_are_accepted(server: LiveServer) -> None:
    request = GET + b"Connection: close\r\nX: " + b"a" * 65_000 + b"\r\n\r\n"
    assert [answer.status for answer in exchange(server.address, request)] == [200]


def test_an_endless_chunk_extension_is_refused(server: LiveServer) -> None:
    allowed = b"Authorization: Bearer " + server.token().encode() + b"\r\n"
    head = POST + allowed + b"Transfer-Encoding: chunked\r\n\r\n"
    (answer,) = exchange(server.address, head + b"2;" + b"a" * 300_000 + b"\r\nab\r\n")
    assert (answer.status, answer.problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://example.org/healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\r\n\r\n" + GET + b"Connection: close\r\n\r\n",
        GET + b"X_Forwarded_For: 1\r\nConnection: close\r\n\r\n",
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        GET + b"Content-Length: 4\r\nConnection: close\r\n\r\nabcd",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
    ids=[
        "absolute form",
        "empty lines first",
        "an underscore in a header's name",
        "an ignored upgrade to HTTP/2",
        "an ignored upgrade to WebSocket",
        "a GET with a body",
        "HTTP/1.0",
    ],
)
def test_unusual_valid_requests_are_answered_once(server: LiveServer, request_: bytes) -> None:
    (answer,) = exchange(server.address, request_)
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')


def test_requests_can_be_pipelined(server: LiveServer) -> None:
    request = b"".join(
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-ID: number-%d\r\n%s\r\n"
        % (number, b"Connection: close\r\n" if number == 9 else b"")
        for number in range(10)
    )
    answers = exchange(server.address, request)
    assert [answer.headers["x-request-id"] for answer in answers] == [
        f"number-{number}" for number in range(10)
    ]


def test_connection_ends_after_an_invalid_request(server: LiveServer) -> None:
    answers = exchange(server.address, b"BAD\r\n\r\n" + HIDDEN)
    assert [answer.status for answer in answers] == [400]


@pytest.mark.parametrize(
    "bad", [b"BAD\r\n\r\n", POST + SMUGGLING["length and chunked"]], ids=["garbage", "smuggling"]
)
def test_invalid_pipelined_request_ends_the_connection(server: LiveServer, bad: bytes) -> None:
    answers = exchange(server.address, GET + b"X-Request-ID: good\r\n\r\n" + bad)
    assert 1 <= len(answers) <= 2
    assert {answer.status for answer in answers} <= {200, 400}
    assert "smuggled" not in {answer.headers["x-request-id"] for answer in answers}


def test_invalid_pipelined_request_keeps_the_previous_answer(server: LiveServer) -> None:
    answers = exchange(server.address, GET + b"X-Request-ID: good\r\n\r\nBAD\r\n\r\n")
    assert answers[0].status == 200
    assert answers[0].headers["x-request-id"] == "good"


def test_trailers_are_not_used_as_headers(server: LiveServer) -> None:
    token = server.token().encode()
    request = (
        POST + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\nAuthorization: Bearer " + token + b"\r\nX-Request-ID: trailer\r\n\r\n"
    )
    with Connection(server.address) as connection:
        connection.send(request)
        answer = connection.answer()
    assert answer.status == 401
    assert answer.problem["request_id"] != "trailer"


def test_http_0_9_is_refused(server: LiveServer) -> None:
    answers = exchange(server.address, b"GET /healthz\r\n\r\n")
    assert [answer.status for answer in answers] == [400]


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"user@a", b"a?b", b"a#b", b"a\\b"])
def test_invalid_host_is_refused(server: LiveServer, host: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert [answer.status for answer in exchange(server.address, request)] == [400]
