"""The buffer of a large body: filled in pieces, taken without a copy."""

from __future__ import annotations

from schemas.errors import Overloaded
from service.transport.http.body.whole_body import WholeBody


def write(whole: WholeBody, piece: bytes) -> None:
    """Write as a socket does."""
    whole.rest()[: len(piece)] = piece
    whole.add(len(piece))


def test_content_is_what_was_put_and_written() -> None:
    reserved: list[int] = []
    whole = WholeBody(8, reserved.append)
    whole.put(b"ab")
    write(whole, b"cde")
    assert whole.report().tobytes() == b"abcde"
    write(whole, b"fgh")
    assert whole.report().tobytes() == b"fgh"
    assert not whole.accepts
    assert whole.take() == b"abcdefgh"
    assert reserved == [2, 5, 8]


def test_content_is_taken_without_a_copy() -> None:
    whole = WholeBody(2**20, lambda _: None)
    whole.put(bytes(2**20))
    assert whole.take() is whole.take()


def test_taken_content_outlives_the_buffer() -> None:
    whole = WholeBody(3, lambda _: None)
    whole.put(b"abc")
    taken = whole.take()
    whole.close()
    assert taken == b"abc"
    assert not whole.accepts


def test_error_of_the_reservation_is_kept_and_ends_the_reception() -> None:
    def refuse(count: int) -> None:
        if count > 2:
            raise Overloaded

    whole = WholeBody(8, refuse)
    write(whole, b"ab")
    seen = [whole.error]
    write(whole, b"c")
    assert seen == [None]
    assert isinstance(whole.error, Overloaded)
    assert not whole.accepts
