"""Lines of a body in pieces: every split gives the same lines, and no line grows without bound."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from service.transport.http.body.line_splitter import Line, LineSplitter, TooLong

LIMIT = 8


def lines(pieces: Iterable[bytes], limit: int = LIMIT) -> list[Line]:
    splitter = LineSplitter(limit)
    found: list[Line] = []
    for piece in pieces:
        found += splitter.feed(piece)
        assert splitter.held <= limit + 1
    return [*found, *splitter.end()]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"one", [b"one"]),
        (b"one\n", [b"one"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"one\n\n \n\r\n\t\ntwo", [b"one", b"two"]),
        (b"one\rtwo", [b"one\rtwo"]),
        (b"12345678\n12345678\r\n1234567", [b"12345678", b"12345678", b"1234567"]),
        (b"123456789\nshort\n", [TooLong.LINE, b"short"]),
        (b"123456789\r\nshort\r\n", [TooLong.LINE, b"short"]),
        (b"12345678901234567890\nshort", [TooLong.LINE, b"short"]),
        (b"short\n123456789", [b"short", TooLong.LINE]),
        (b"12345678\r", [b"12345678"]),
        ("ä\nö".encode(), ["ä".encode(), "ö".encode()]),
    ],
)
def test_lines_do_not_depend_on_the_split(body: bytes, expected: list[Line]) -> None:
    assert lines([body]) == expected
    assert lines(body[at : at + 1] for at in range(len(body))) == expected
    for at in range(len(body) + 1):
        for to in range(at, len(body) + 1):
            assert lines([body[:at], body[at:to], body[to:]]) == expected


def test_dropped_line_is_not_yielded_and_the_next_one_is() -> None:
    splitter = LineSplitter(LIMIT)
    assert [*splitter.feed(b"begun")] == []
    splitter.drop()
    assert splitter.held == 0
    assert [*splitter.feed(b" rest\nnext\n")] == [b"next"]


def test_endless_line_takes_no_memory() -> None:
    splitter = LineSplitter(LIMIT)
    found: list[Line] = []
    for _ in range(1000):
        found += splitter.feed(b"x" * 1000)
        assert splitter.held == 0
    assert found == [TooLong.LINE]
    assert [*splitter.end()] == []
