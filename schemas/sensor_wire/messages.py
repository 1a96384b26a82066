"""Messages: what the payloads of frames mean."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from schemas.sensor_wire.frames import (
    DEFAULT_MAX_FRAME_BYTES,
    TOKEN_BYTES,
    Frame,
    FrameType,
    WireError,
    encode_frame,
)
from schemas.sensor_wire.packing import Packing, Samples, pack, unpack
from schemas.sensors import MAX_EPOCH, MAX_SEQUENCE, SENSOR_NAME_PATTERN

_HELLO = struct.Struct("<QQB")
_TOKEN = struct.Struct("<H")
_DATA = struct.Struct("<QqII")
"""The last number is the byte of flags and three zeros."""
_ACK = struct.Struct("<QI")
_FIRST = struct.Struct("<Q")
_MICROSECONDS = 1_000_000
_PACKINGS = tuple(map(Packing, range(4)))
DATA_HEAD_BYTES = _DATA.size
"""Bytes of a DATA payload before its samples."""
MAX_CREDIT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a stream of samples.

    Attributes:
        epoch: life of the device's queue; see ``docs/tcp.md``.
        next_sequence: of the sample that the device sends next if nothing is safe.
        token: None where the server takes samples from anybody.
    """

    kind: ClassVar = FrameType.HELLO
    epoch: int
    next_sequence: int
    name: str
    token: str | None = field(default=None, repr=False)

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        name, token = self.name.encode("ascii"), (self.token or "").encode("ascii")
        head = _HELLO.pack(self.epoch, self.next_sequence, len(name))
        return head + name + _TOKEN.pack(len(token)) + token


@dataclass(slots=True)  # frozen ones take a microsecond more
class Data:
    """Samples, still packed.

    Attributes:
        first: sequence number of the first sample.
        time_us: of the first sample, microseconds since 1970 UTC; 0 if unknown.
        count: samples, at least 1.
    """

    kind: ClassVar = FrameType.DATA
    first: int
    time_us: int
    count: int
    packing: Packing
    packed: bytes | memoryview

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        head = _DATA.pack(self.first, self.time_us, self.count, self.packing)
        return head + self.packed

    @property
    def at(self) -> float | None:
        """Time of the first sample in seconds since 1970 UTC; None if unknown."""
        return self.time_us / _MICROSECONDS if self.time_us else None

    def values(self, channels: int, max_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> Samples:
        """Unpack the samples: shape [count, channels], read-only.

        Raises:
            WireError: see ``unpack``.
        """
        return unpack(self.packed, self.packing, self.count, channels, max_bytes=max_bytes)


@dataclass(frozen=True, slots=True)
class Ack:
    """All samples below ``safe`` are stored; send from there on.

    Attributes:
        credit: bytes of samples, unpacked, that may be under way from ``safe`` on.
    """

    kind: ClassVar = FrameType.ACK
    safe: int
    credit: int

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        return _ACK.pack(self.safe, self.credit)


@dataclass(frozen=True, slots=True)
class Result:
    """Answer for the window that begins at ``first``: a ``SensorAnswer`` as JSON."""

    kind: ClassVar = FrameType.RESULT
    first: int
    answer: bytes

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        return _FIRST.pack(self.first) + self.answer


@dataclass(frozen=True, slots=True)
class Error:
    """Fault; ``code``: of ``ErrorCode`` or ``SensorFault``.

    Attributes:
        retry_after: seconds after which the same may succeed.
        fatal: the server ends the connection.
    """

    kind: ClassVar = FrameType.ERROR
    code: str
    detail: str
    retry_after: float | None = None
    fatal: bool = False

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        content: dict[str, object] = {"code": self.code, "detail": self.detail}
        if self.retry_after is not None:
            content["retry_after"] = self.retry_after
        return _json(content | {"fatal": self.fatal})


@dataclass(frozen=True, slots=True)
class Bye:
    """The sender ends the connection."""

    kind: ClassVar = FrameType.BYE
    reason: str = ""

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        return _json({"reason": self.reason})


@dataclass(frozen=True, slots=True)
class Token:
    """Another access token of the same principal."""

    kind: ClassVar = FrameType.TOKEN
    token: str = field(repr=False)

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        return self.token.encode("ascii")


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for an ACK."""

    kind: ClassVar = FrameType.PING

    def payload(self) -> bytes:
        """Return the payload of the frame."""
        return b""


Message = Hello | Data | Ack | Result | Error | Bye | Token | Ping


def data_of(
    first: int, values: Samples, *, time_us: int = 0, packing: Packing = Packing.PLAIN
) -> Data:
    """Pack samples of shape [count, channels] for sending."""
    return Data(first, time_us, len(values), packing, pack(values, packing))


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    return encode_frame(message.kind, message.payload())


def encode_result(first: int, answer: bytes) -> bytes:
    """Return the frame of a ``Result``, without building one."""
    return encode_frame(FrameType.RESULT, _FIRST.pack(first) + answer)


def parse(frame: Frame) -> Message:
    """Return the message of a frame.

    Raises:
        WireError: the payload does not follow the format.
    """
    try:
        return _PARSERS[frame.type](frame.payload)
    except (struct.error, ValueError, RecursionError) as error:
        if isinstance(error, WireError):
            raise
        message = f"The payload of {frame.type.name} is malformed."
        raise WireError(message) from error


def _hello(payload: bytes) -> Hello:
    epoch, following, length = _HELLO.unpack_from(payload)
    if epoch > MAX_EPOCH:
        message = f"The epoch is at most {MAX_EPOCH}."
        raise WireError(message)
    at = _HELLO.size + length
    name = payload[_HELLO.size : at].decode("ascii")
    (token_length,) = _TOKEN.unpack_from(payload, at)
    token = payload[at + _TOKEN.size :]
    if not re.fullmatch(SENSOR_NAME_PATTERN, name):
        message = f"The name of a sensor matches {SENSOR_NAME_PATTERN}"
        raise WireError(message)
    if len(token) != token_length or token_length > TOKEN_BYTES:
        message = f"The token has {len(token)} bytes, not {token_length}."
        raise WireError(message)
    return Hello(epoch, _sequence(following), name, token.decode("ascii") or None)


def _data(payload: bytes) -> Data:
    first, time_us, count, flags = _DATA.unpack_from(payload)
    if not count:
        message = "DATA has at least one sample."
        raise WireError(message)
    if flags >= len(_PACKINGS):
        message = "DATA has an unknown flag."
        raise WireError(message)
    _sequence(first + count - 1)
    return Data(first, time_us, count, _PACKINGS[flags], memoryview(payload)[_DATA.size :])


def _sequence(number: int) -> int:
    if number > MAX_SEQUENCE:
        message = f"Sequence numbers are at most {MAX_SEQUENCE}."
        raise WireError(message)
    return number


def _ack(payload: bytes) -> Ack:
    safe, credit = _ACK.unpack(payload)
    return Ack(_sequence(safe), credit)


def _result(payload: bytes) -> Result:
    (first,) = _FIRST.unpack_from(payload)
    answer = payload[_FIRST.size :]
    _object(answer)
    return Result(_sequence(first), answer)


def _error(payload: bytes) -> Error:
    content = _object(payload)
    retry_after, fatal = content.get("retry_after"), content.get("fatal", False)
    if not isinstance(retry_after, int | float | None) or not isinstance(fatal, bool):
        message = "ERROR has fields of the wrong type."
        raise WireError(message)
    return Error(_text(content, "code"), _text(content, "detail"), retry_after, fatal)


def _bye(payload: bytes) -> Bye:
    return Bye(_text(_object(payload), "reason") if payload else "")


def _token(payload: bytes) -> Token:
    if not payload:
        message = "TOKEN has a token."
        raise WireError(message)
    return Token(payload.decode("ascii"))


def _ping(payload: bytes) -> Ping:
    if payload:
        message = "PING has no payload."
        raise WireError(message)
    return Ping()


def _object(payload: bytes) -> dict[str, Any]:
    content = json.loads(payload.decode("utf-8"))
    if not isinstance(content, dict):
        message = "The JSON is an object."
        raise WireError(message)
    return content


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        message = f"The JSON has the string '{name}'."
        raise WireError(message)
    return value


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


_PARSERS: Mapping[FrameType, Callable[[bytes], Message]] = {
    FrameType.HELLO: _hello,
    FrameType.DATA: _data,
    FrameType.ACK: _ack,
    FrameType.RESULT: _result,
    FrameType.ERROR: _error,
    FrameType.BYE: _bye,
    FrameType.TOKEN: _token,
    FrameType.PING: _ping,
}
