"""Samples in MQTT payloads without frames: float32 numbers, JSON, or line protocol. Pure.

The content type says which (MQTT 5), if it is one of ``CONTENT_TYPES``; else the bytes do: JSON
begins with a bracket, lines are text, and everything else is float32 little-endian.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.sensors import MAX_EPOCH, MAX_SEQUENCE, SensorFault
from service.sensors.mqtt.line_protocol import read_lines

Format = Literal["raw", "json", "lines"]
CONTENT_TYPES: Mapping[str, Format] = {
    "application/octet-stream": "raw",
    "application/json": "json",
    "text/plain": "lines",
    "application/vnd.influx.line-protocol": "lines",
}
_FLOAT = np.dtype("<f4")
_TEXT = bytes(range(32, 127)) + b"\t\r\n"
_SURE_BYTES = 16
"""So many bytes of text are text; fewer may be numbers by chance."""


class BadPayload(ValueError):
    """A payload that holds no samples. The message is for the log.

    Attributes:
        fault: how it is counted.
    """

    def __init__(self, detail: str, fault: SensorFault = SensorFault.BAD_DATA) -> None:
        self.fault = fault
        super().__init__(detail)


class Payload(NamedTuple):
    """Content of a message.

    Attributes:
        values: shape [n, channels], float32, n >= 1; may be a view of the payload.
        epoch: chosen by the device; None: it has none.
        first: sequence of the first sample; None: the one after the last message.
        at: when the first sample was taken, in seconds since the epoch.
    """

    values: NDArray[np.float32]
    epoch: int | None = None
    first: int | None = None
    at: float | None = None


def epoch_of(payload: bytes) -> int | None:
    """Return the epoch that a payload of JSON names; None if there is none, or it is malformed."""
    if not payload.startswith(b"{") or b'"epoch"' not in payload:
        return None
    try:
        epoch = orjson.loads(payload).get("epoch")
    except orjson.JSONDecodeError:
        return None
    return epoch if type(epoch) is int and 0 <= epoch <= MAX_EPOCH else None


def read_payload(
    payload: bytes, channels: int, content_type: str | None = None, names: Sequence[str] = ()
) -> Payload:
    """Return the samples of a message.

    Args:
        payload: of a message.
        channels: numbers in each sample.
        content_type: as the message has it.
        names: of the fields of line protocol, in the order of channels; empty: sorted names.

    Raises:
        BadPayload: it is malformed, or has other channels.
    """
    if not payload:
        raise BadPayload("the message is empty")
    kind = CONTENT_TYPES.get((content_type or "").partition(";")[0].strip().lower())
    if kind is None:
        kind = _guess(payload)
    if kind == "json":
        return _of_json(payload, channels)
    if kind == "lines":
        return _of_lines(payload, channels, names)
    return _of_floats(payload, channels)


def _guess(payload: bytes) -> Format:
    is_text = payload.isascii() and not payload.translate(None, _TEXT)
    if payload[0] in b"{[":
        if is_text and len(payload) >= _SURE_BYTES:
            return "json"
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError:
            return "raw"
        return "json"
    if not is_text:
        return "raw"
    return "lines" if len(payload) >= _SURE_BYTES or b"=" in payload else "raw"


def _of_floats(payload: bytes, channels: int) -> Payload:
    size = _FLOAT.itemsize * channels
    if len(payload) % size:
        fault = SensorFault.WRONG_CHANNELS if len(payload) % 4 == 0 else SensorFault.BAD_DATA
        raise BadPayload(f"{len(payload)} bytes are not a multiple of {size}", fault)
    values = np.frombuffer(payload, _FLOAT).reshape(-1, channels)
    return Payload(values.astype(np.float32, copy=False))


def _of_json(payload: bytes, channels: int) -> Payload:
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadPayload(f"not JSON: {error}") from None
    if isinstance(found, list):
        return Payload(_rows(found, channels))
    if not isinstance(found, dict) or not isinstance(found.get("samples"), list):
        raise BadPayload('expected an array, or an object with the array "samples"')
    if unknown := found.keys() - {"samples", "time", "sequence", "epoch"}:
        raise BadPayload(f"unknown member {min(unknown)[:50]!r}")
    epoch = _number(found.get("epoch"), "epoch", MAX_EPOCH)
    first = _number(found.get("sequence"), "sequence", MAX_SEQUENCE)
    if (epoch is None) != (first is None):
        raise BadPayload("epoch and sequence go together")
    return Payload(_rows(found["samples"], channels), epoch, first, _time(found.get("time")))


def _rows(samples: list[object], channels: int) -> NDArray[np.float32]:
    """Return samples as rows: numbers alone are one sample, or samples of one channel."""
    if not samples:
        raise BadPayload("there are no samples")
    try:
        found = np.array(samples)
    except ValueError:
        raise BadPayload("samples have different numbers of channels") from None
    if found.dtype.kind not in "iuf":
        raise BadPayload("samples must be numbers")
    if found.ndim == 1:
        found = found.reshape(-1, 1) if channels == 1 else found.reshape(1, -1)
    if found.ndim != 2 or found.shape[1] != channels:
        detail = f"each sample has {channels} numbers, not {found.shape[-1]}"
        raise BadPayload(detail, SensorFault.WRONG_CHANNELS)
    return _float32(found)


def _float32(found: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, which is refused
        return np.ascontiguousarray(found, np.float32)


def _number(value: object, name: str, most: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= most:
        raise BadPayload(f"{name} must be a whole number from 0 to {most}")
    return value


def _time(value: object) -> float | None:
    """Return a time as seconds since the epoch; it may be that, or RFC 3339."""
    if value is None:
        return None
    if type(value) in {int, float}:
        return float(str(value))
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadPayload("time must be seconds since 1970, or RFC 3339") from None


def _of_lines(payload: bytes, channels: int, names: Sequence[str]) -> Payload:
    try:
        lines = read_lines(payload)
    except ValueError as error:
        raise BadPayload(f"not line protocol: {error}") from None
    rows = []
    for line in lines:
        order = names or sorted(line.fields)
        if missing := [name for name in order if name not in line.fields]:
            raise BadPayload(f"field {missing[0]!r} is missing", SensorFault.WRONG_CHANNELS)
        rows.append([line.fields[name] for name in order])
        if len(rows[-1]) != channels:
            detail = f"each line has {channels} fields of numbers, not {len(rows[-1])}"
            raise BadPayload(detail, SensorFault.WRONG_CHANNELS)
    return Payload(_float32(np.array(rows)), at=lines[0].at)
