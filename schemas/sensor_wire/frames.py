"""Frames: a header of 12 bytes with length and CRC-32C, then the payload. Little-endian.

::

    magic "PT" | version 1 | type | length u32 | CRC-32C u32 | payload
    0            2           3      4            8             12

The checksum (RFC 3720, appendix B.4) covers the first 8 bytes of the header and the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import cache
from typing import NamedTuple, NoReturn

import google_crc32c

from schemas.sensors import SensorFault

MAGIC = 0x5450
"""The bytes ``50 54``: "PT"."""
VERSION = 1
HEADER = struct.Struct("<HBBII")
_SMALL_BYTES = 4096
"""Parts from this size are kept without a copy."""
_CHECKED_BYTES = 8
"""Bytes of the header that the checksum covers."""
DEFAULT_MAX_FRAME_BYTES = 2**20


class WireError(ValueError):
    """The bytes do not follow the format.

    Attributes:
        fault: ``BAD_DATA``, ``TOO_LARGE`` or ``WRONG_CHANNELS``.
        detail: for the sender.
    """

    def __init__(self, detail: str, fault: SensorFault = SensorFault.BAD_DATA) -> None:
        self.fault, self.detail = fault, detail
        super().__init__(detail)


class FrameType(IntEnum):
    """Type of a frame; d: device, s: server."""

    HELLO = 1
    """d->s: opens a stream of samples."""
    DATA = 2
    """d->s: samples."""
    ACK = 3
    """s->d: the first sample that the server still needs, and credit."""
    RESULT = 4
    """s->d: the answer for one window."""
    ERROR = 5
    """s->d: a fault, which may end the connection."""
    BYE = 6
    """Both: the sender ends the connection."""
    TOKEN = 7
    """d->s: replaces the token within the stream."""
    PING = 8
    """d->s: asks for an ACK."""


_TYPES = {int(kind): kind for kind in FrameType}


class Frame(NamedTuple):
    """A frame whose checksum is right."""

    type: FrameType
    payload: bytes


Limits = Mapping[FrameType, int]
"""Payload bytes of each accepted type at most; types that are missing are refused."""

TOKEN_BYTES = 8192
_HELLO_BYTES = 8 + 8 + 1 + 63 + 2 + TOKEN_BYTES
_JSON_BYTES = 4096
_RESULT_BYTES = 65_536
_BYE_BYTES = 1024

FIRST_FRAME: Limits = {FrameType.HELLO: _HELLO_BYTES, FrameType.BYE: _BYE_BYTES}
"""Frames that a device may send before its HELLO was answered."""
FROM_SERVER: Limits = {
    FrameType.ACK: 12,
    FrameType.RESULT: _RESULT_BYTES,
    FrameType.ERROR: _JSON_BYTES,
    FrameType.BYE: _BYE_BYTES,
}


@cache
def from_device(max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> Limits:
    """Return what a device may send after its HELLO; ``max_frame_bytes``: payload of DATA."""
    return {
        FrameType.DATA: max_frame_bytes,
        FrameType.BYE: _BYE_BYTES,
        FrameType.TOKEN: TOKEN_BYTES,
        FrameType.PING: 0,
    }


def encode_frame(kind: FrameType, payload: bytes = b"") -> bytes:
    """Return header and payload."""
    head = HEADER.pack(MAGIC, VERSION, kind, len(payload), 0)[:_CHECKED_BYTES]
    checksum = google_crc32c.extend(google_crc32c.value(head), payload)
    return b"%b%b%b" % (head, checksum.to_bytes(4, "little"), payload)


class FrameDecoder:
    """Splits a stream of bytes into frames, at any boundaries of the pieces it is fed.

    Every payload is copied once. The bytes of at most one incomplete frame are held.

    Attributes:
        limits: of the frames that follow; may be replaced between two frames.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._head = b""
        self._parts: list[bytearray | memoryview] = []
        self._held = 0
        self._missing: int | None = None
        self._error: WireError | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of the incomplete frame that are held."""
        return len(self._head) + self._held

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that ``piece`` completes. Iterate to the end, or discard the decoder.

        Raises:
            WireError: at the first damaged or refused frame, and from then on always.
        """
        if self._error is not None:
            raise self._error
        at, end, size = 0, len(piece), HEADER.size
        while True:
            if self._missing is not None:
                stop = min(end, at + self._missing)
                self._hold(memoryview(piece)[at:stop])
                self._missing -= stop - at
                if self._missing:
                    return
                head, payload = self._head, b"".join(self._parts)
                kind, _, checksum = self._check(head, 0)
                self._forget()
                yield self._frame(kind, head[:_CHECKED_BYTES], payload, checksum)
                at = stop
            elif self._head or end - at < size:
                stop = min(end, at + size - len(self._head))
                self._head += piece[at:stop]
                if len(self._head) < size:
                    return
                (_, self._missing, _), at = self._check(self._head, 0), stop
            else:
                kind, length, checksum = self._check(piece, at)
                start = at + size
                if start + length > end:
                    self._head, self._missing, at = piece[at:start], length, start
                    continue
                checked, at = piece[at : at + _CHECKED_BYTES], start + length
                yield self._frame(kind, checked, piece[start:at], checksum)

    def _hold(self, part: memoryview) -> None:
        """Keep a part of a payload; join small ones, which would take far more than their bytes."""
        self._held += len(part)
        last = self._parts[-1] if self._parts else None
        if len(part) >= _SMALL_BYTES:
            self._parts.append(part)
        elif isinstance(last, bytearray):
            last += part
        else:
            self._parts.append(bytearray(part))

    def _forget(self) -> None:
        self._head, self._parts, self._held, self._missing = b"", [], 0, None

    def _check(self, data: bytes, at: int) -> tuple[FrameType, int, int]:
        """Check a header, before any of the payload is held; return type, length and checksum."""
        magic, version, number, length, checksum = HEADER.unpack_from(data, at)
        if magic != MAGIC:
            self._fail("A frame begins with the bytes 50 54.")
        if version != VERSION:
            self._fail(f"Version {version} is not supported; version {VERSION} is.")
        kind = _TYPES.get(number)
        if kind is None or (most := self.limits.get(kind)) is None:
            self._fail(f"A frame of type {number} is not accepted here.")
        if length > most:
            detail = f"A frame of type {number} has at most {most} bytes of payload."
            self._fail(detail, SensorFault.TOO_LARGE)
        return kind, length, checksum

    def _frame(self, kind: FrameType, checked: bytes, payload: bytes, checksum: int) -> Frame:
        """Return the frame, if its checksum is right."""
        if google_crc32c.extend(google_crc32c.value(checked), payload) != checksum:
            self._fail("The checksum is wrong.")
        return Frame(kind, payload)

    def _fail(self, detail: str, fault: SensorFault = SensorFault.BAD_DATA) -> NoReturn:
        self._error = WireError(detail, fault)
        self._forget()
        raise self._error
