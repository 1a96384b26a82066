"""The parser of motion JPEG: every way in which cameras send it, split anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cameras.sources.http.multipart import (
    MAX_HEADERS,
    MalformedStream,
    MultipartParser,
    PartTooLarge,
    StreamEnded,
    boundary_of,
)

IMAGE = b"\xff\xd8\xff\xe0 one \r\n--not the\n delimiter \xff\xd9"
OTHER = b"\xff\xd8\xff\xe1 two \xff\xd9"
LIMIT = 1000

STREAMS = {
    "as in RFC 2046": b"--b\r\nContent-Type: image/jpeg\r\n\r\n%b\r\n--b\r\n\r\n%b\r\n--b\r\n",
    "with a preamble": b"ignore this\r\n--b\r\n\r\n%b\r\n--b\r\n\r\n%b\r\n--b\r\n",
    "with LF alone": b"--b\nContent-Type: image/jpeg\n\n%b\n--b\n\n%b\n--b\n",
    "with dashes of the header's boundary": b"----b\r\n\r\n%b\r\n----b\r\n\r\n%b\r\n----b\r\n",
    "with empty parts": b"--b\r\n\r\n\r\n--b\r\n\r\n%b\r\n--b\r\n\r\n--b\r\nContent-Length: 0\r\n\r\n%b\r\n--b\r\n",
    "with blanks behind the delimiter": b"--b \r\n\r\n%b\r\n--b\t\r\n\r\n%b\r\n--b \r\n",
    "with an unreadable length": b"--b\r\nContent-Length: many\r\n\r\n%b\r\n--b\r\nContent-Length: -1\r\n\r\n%b\r\n--b\r\n",
}


def parsed(parser: MultipartParser, pieces: Iterable[bytes]) -> list[bytes]:
    return [part for piece in pieces for part in parser.feed(piece)]


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_split_at_every_point(stream: bytes) -> None:
    data = stream % (IMAGE, OTHER)
    for cut in range(len(data) + 1):
        parser = MultipartParser("b", LIMIT)
        assert parsed(parser, [data[:cut], data[cut:]]) == [IMAGE, OTHER], cut
    single = [data[at : at + 1] for at in range(len(data))]
    assert parsed(MultipartParser("--b", LIMIT), single) == [IMAGE, OTHER]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b""], ids=["CRLF", "LF", "nothing"])
def test_length_announced(end: bytes) -> None:
    # The body holds what looks like a delimiter.
    body = IMAGE + b"\r\n--b\r\n\r\n" + IMAGE
    part = b"--b\r\ncontent-LENGTH:%d\r\n\r\n%b" % (len(body), body)
    data = part + end + part
    for cut in range(len(data) + 1):
        parser = MultipartParser("b", LIMIT)
        assert parsed(parser, [data[:cut], data[cut:]]) == [body, body], cut


@pytest.mark.parametrize("announced", [len(IMAGE) - 5, len(IMAGE) + 3, 100])
def test_wrong_length_spoils_no_later_part(announced: int) -> None:
    part = b"--b\r\nContent-Length: %d\r\n\r\n%b\r\n" % (announced, IMAGE)
    good = b"--b\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(OTHER), OTHER)
    parts = parsed(MultipartParser("b", LIMIT), [part + 6 * good])
    assert parts[-1] == parts[-2] == OTHER


@given(
    bodies=st.lists(st.binary(max_size=60), max_size=4),
    is_announced=st.booleans(),
    cuts=st.lists(st.integers(0, 500)),
)
def test_any_bodies_split_anywhere(
    bodies: list[bytes], is_announced: bool, cuts: list[int]
) -> None:
    wanted = [body for body in bodies if body]
    if not is_announced:
        wanted = [body for body in wanted if b"--bound" not in body and body.strip(b"\r") == body]
    stream = b""
    for body in wanted:
        length = b"Content-Length: %d\r\n" % len(body) if is_announced else b""
        stream += b"--bound\r\n%b\r\n%b\r\n" % (length, body)
    stream += b"--bound\r\n"
    parser = MultipartParser("bound", LIMIT)
    assert parsed(parser, pieces_of(stream, cuts)) == wanted


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400)))
def test_garbage_gives_the_same_however_it_is_split(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"\x00", b"\n--b").replace(b"\x01", b"\n\n").replace(b"\x02", b"-")

    def outcome(pieces: list[bytes]) -> tuple[list[bytes], str]:
        parser = MultipartParser("b", 50)
        parts: list[bytes] = []
        try:
            for piece in pieces:
                parts.extend(parser.feed(piece))
        except (MalformedStream, PartTooLarge, StreamEnded) as error:
            return parts, type(error).__name__
        return parts, ""

    assert outcome(pieces_of(data, cuts)) == outcome([data])


def test_announced_part_is_refused_before_it_is_buffered() -> None:
    parser = MultipartParser("b", LIMIT)
    with pytest.raises(PartTooLarge):
        parsed(parser, [b"--b\r\nContent-Length: 1001\r\n\r\n"])


def test_part_without_length_is_refused_at_the_limit() -> None:
    parser = MultipartParser("b", LIMIT)
    head = b"--b\r\n\r\n"
    assert parsed(parser, [head + b"x" * LIMIT + b"\r\n--b\r\n"]) == [b"x" * LIMIT]
    with pytest.raises(PartTooLarge):
        parsed(MultipartParser("b", LIMIT), [head + b"x" * (LIMIT + 1) + b"\r\n--b\r\n"])
    with pytest.raises(PartTooLarge):
        parsed(MultipartParser("b", LIMIT), [head, *[b"x"] * (LIMIT + 20)])


@pytest.mark.parametrize(
    "head",
    [
        b"--b\r\n" + b"X: " + b"x" * MAX_HEADERS,
        b"--b\r\n" + b"X: 1\r\n" * MAX_HEADERS,
        b"--b" + b" " * 9000,
    ],
    ids=["line", "lines", "delimiter"],
)
def test_endless_headers_are_refused(head: bytes) -> None:
    with pytest.raises(MalformedStream):
        parsed(MultipartParser("b", LIMIT), pieces_of(head, range(0, len(head), 1000)))


def test_endless_preamble_is_not_kept() -> None:
    parser = MultipartParser("b", LIMIT)
    for _ in range(100):
        assert parsed(parser, [b"\n--" * 3000]) == []
    assert len(parser._buffer) < 100


def test_closing_delimiter_ends_the_stream() -> None:
    parser = MultipartParser("b", LIMIT)
    parts = parser.feed(b"--b\r\n\r\n" + IMAGE + b"\r\n--b--\r\n")
    assert next(parts) == IMAGE
    with pytest.raises(StreamEnded):
        next(parts)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/x-mixed-replace;boundary=b", "b"),
        ('multipart/x-mixed-replace; BOUNDARY = "a b;c"; x=y', "a b;c"),
        (r'multipart/x-mixed-replace; boundary="a\"b"', 'a"b'),
        ("multipart/x-mixed-replace; boundary=--myboundary; charset=x", "--myboundary"),
        ("multipart/x-mixed-replace", None),
        ("multipart/x-mixed-replace; boundary=", None),
    ],
)
def test_boundary_of_the_header(header: str, boundary: str | None) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize("boundary", ["", "--", "\u20ac", "a\nb", "x" * 201])
def test_boundary_that_cannot_be_used(boundary: str) -> None:
    with pytest.raises(MalformedStream):
        MultipartParser(boundary, LIMIT)
