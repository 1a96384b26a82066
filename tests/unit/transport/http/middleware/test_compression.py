"""Compressed bodies: round trips, damaged and endless ones; encoding of responses."""

from __future__ import annotations

import gzip
import importlib.util
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.transport.http.middleware.compression import (
    ENCODINGS,
    STEP_BYTES,
    Decompressor,
    StreamDecompressor,
    accepted,
    compress,
)
from tests.support.suite.examples import examples

thorough = examples(100)
needs_zstd = pytest.mark.skipif(
    importlib.util.find_spec("backports.zstd") is None, reason="backports.zstd is not installed"
)
every_encoding = pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", pytest.param("zstd", marks=needs_zstd)]
)
BY_OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


def decompressed(encoding: str, data: bytes, limit: int = 2**24) -> bytes:
    decompressor = Decompressor(encoding, data, limit)
    while decompressor.step():
        pass
    return bytes(decompressor.output)


def streamed(encoding: str, pieces: Iterable[bytes], limit: int = 2**24) -> bytes:
    decompressor, output = StreamDecompressor(encoding, limit), bytearray()
    for piece in pieces:
        decompressor.feed(piece)
        while step := decompressor.step():
            assert len(step) <= STEP_BYTES
            output += step
    decompressor.end()
    return bytes(output)


@every_encoding
@thorough
@given(data=st.binary(max_size=300), repeated=st.integers(0, 200), size=st.integers(1, 5000))
def test_body_in_pieces_is_decompressed_as_a_whole(
    encoding: str, data: bytes, repeated: int, size: int
) -> None:
    body = data * repeated
    packed = compress(body, encoding)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert streamed(encoding, pieces) == body


@every_encoding
@pytest.mark.parametrize("size", [0, 1, 1000, STEP_BYTES, 3 * STEP_BYTES + 1])
def test_truncated_or_extended_stream_is_refused(encoding: str, size: int) -> None:
    packed = compress(bytes(range(256)) * (size // 256) + bytes(size % 256), encoding)
    assert len(streamed(encoding, [packed])) == size
    for wrong in ([packed[:-1]], [packed[: len(packed) // 2]], [], [packed, b"\0"], [packed] * 2):
        with pytest.raises(InvalidRequest):
            streamed(encoding, wrong)
    with pytest.raises(InvalidRequest):
        streamed(encoding, [packed + b"\0"])


@every_encoding
def test_bomb_in_a_stream_takes_one_step_of_memory(encoding: str) -> None:
    limit = 8 * STEP_BYTES
    decompressor = StreamDecompressor(encoding, limit)
    decompressor.feed(compress(bytes(2**27), encoding))
    tracemalloc.start()
    try:
        for _ in range(8):
            assert len(decompressor.step()) == STEP_BYTES
        with pytest.raises(PayloadTooLarge, match="8 MiB once"):
            decompressor.step()
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@every_encoding
@thorough
@given(data=st.binary(max_size=3000), repeated=st.integers(0, 2000))
def test_body_survives_compression_and_decompression(
    encoding: str, data: bytes, repeated: int
) -> None:
    body = data * repeated
    packed = compress(body, encoding)
    assert decompressed(encoding, packed, 2**30) == body
    if encoding in BY_OTHERS:
        assert BY_OTHERS[encoding](packed) == body


@every_encoding
@thorough
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decompressed(encoding, data)


@every_encoding
@pytest.mark.parametrize("size", [0, 1, 1000, STEP_BYTES, 3 * STEP_BYTES + 1])
def test_truncated_or_extended_body_is_refused(encoding: str, size: int) -> None:
    packed = compress(bytes(range(256)) * (size // 256) + bytes(size % 256), encoding)
    assert len(decompressed(encoding, packed)) == size
    for wrong in (packed[:-1], packed[: len(packed) // 2], b"", packed + b"\0", packed + packed):
        with pytest.raises(InvalidRequest):
            decompressed(encoding, wrong)


def test_bare_deflate_without_zlib_header_is_refused() -> None:
    encoder = zlib.compressobj(wbits=-15)
    with pytest.raises(InvalidRequest):
        decompressed("deflate", encoder.compress(b"hello") + encoder.flush())


@every_encoding
def test_decompression_bomb_is_stopped_at_the_limit(encoding: str) -> None:
    bomb = compress(bytes(2**27), encoding)
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match="4 MiB once"):
            decompressed(encoding, bomb, 2**22)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@every_encoding
def test_size_limit_is_inclusive(encoding: str) -> None:
    packed = compress(bytes(5000), encoding)
    assert len(decompressed(encoding, packed, 5000)) == 5000
    with pytest.raises(PayloadTooLarge):
        decompressed(encoding, packed, 4999)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("deflate", "deflate"),
        ("br, deflate, gzip", "gzip"),  # aiohttp's and browsers'
        ("gzip, deflate, br, zstd", "gzip"),
        ("br", None),
        ("identity", None),
        ("zstd", "zstd"),
        ("zstd, deflate;q=0.5", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.0", None),
        ("gzip;q=0.001", "gzip"),
        ("gzipped, x-gzip", None),
        (",,;q=1,", None),
        ("*", "gzip"),
        ("*;q=0", None),
        ("identity;q=0.5, *;q=0", None),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0, deflate;q=0, *;q=0.1", "zstd"),
        ("zstd, *;q=0", "zstd"),
    ],
)
def test_response_encoding_follows_accept_encoding(header: str, encoding: str | None) -> None:
    assert accepted(header) == encoding


def test_supported_encodings_are_the_same_in_both_directions() -> None:
    assert {accepted(name) for name in ENCODINGS} == set(ENCODINGS)
