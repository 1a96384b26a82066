"""Samples as bytes: float32 little-endian, sample by sample; optionally shuffled, compressed.

The shuffle puts the first bytes of all numbers before all second bytes, and so on. Whether it helps
zstd depends on the sensor, so the sender chooses. NaN and infinities keep their bits.
"""

from __future__ import annotations

import importlib
import sys
from enum import IntFlag
from functools import cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from schemas.sensor_wire.frames import DEFAULT_MAX_FRAME_BYTES, WireError
from schemas.sensors import SensorFault

Samples = npt.NDArray[np.float32]
"""Shape [n, channels]."""
FLOAT = np.dtype("<f4")
_WINDOW_LOG = 23
"""8 MiB, which every zstd decoder must support (RFC 9659)."""


class Packing(IntFlag):
    """How samples are packed; both: shuffled first, then compressed."""

    PLAIN = 0
    SHUFFLED = 1
    ZSTD = 2


def pack(values: Samples, packing: Packing = Packing.PLAIN, *, level: int = 3) -> bytes:
    """Pack samples; ``level``: of zstd."""
    data = np.ascontiguousarray(values, FLOAT)
    packed = data.tobytes()
    if Packing.SHUFFLED in packing:
        packed = np.frombuffer(packed, np.uint8).reshape(-1, FLOAT.itemsize).T.tobytes()
    if Packing.ZSTD in packing:
        packed = _zstd().compress(packed, level)
    return packed


def unpack(
    packed: bytes | memoryview,
    packing: Packing,
    count: int,
    channels: int,
    *,
    max_bytes: int = DEFAULT_MAX_FRAME_BYTES,
) -> Samples:
    """Return read-only samples of shape [count, channels]; plain ones without a copy.

    Args:
        max_bytes: of the samples once they are unpacked.

    Raises:
        WireError: too many bytes, bytes that cannot be unpacked, or not ``count`` samples.
    """
    expected = count * channels * FLOAT.itemsize
    if expected > max_bytes:
        detail = f"The samples of one frame have at most {max_bytes} bytes."
        raise WireError(detail, SensorFault.TOO_LARGE)
    data = packed
    if packing and Packing.ZSTD in packing:  # the first test is the fast one
        data = _decompressed(packed, expected)
    if len(data) != expected:
        _refuse_length(len(data), count, channels)
    if packing and Packing.SHUFFLED in packing:
        data = np.frombuffer(data, np.uint8).reshape(FLOAT.itemsize, -1).T.tobytes()
    return np.frombuffer(data, FLOAT).reshape(count, channels)


def _decompressed(packed: bytes | memoryview, expected: int) -> bytes:
    """Decompress one frame of zstd to ``expected`` bytes, or a byte more if it has more."""
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    decoder = zstd.ZstdDecompressor(options=options)
    try:
        data: bytes = decoder.decompress(packed, expected + 1)
    except zstd.ZstdError as error:
        message = "The samples cannot be decompressed."
        raise WireError(message) from error
    if len(data) <= expected and (not decoder.eof or decoder.unused_data):
        message = "The compressed samples are incomplete, or bytes follow them."
        raise WireError(message)
    return data


def _refuse_length(length: int, count: int, channels: int) -> None:
    per_channel = count * FLOAT.itemsize
    if length and length % per_channel == 0:
        detail = f"The sensor has {channels} channels, the samples have another number."
        raise WireError(detail, SensorFault.WRONG_CHANNELS)
    detail = f"{count} samples of {channels} channels have {per_channel * channels} bytes."
    raise WireError(detail)


@cache
def _zstd() -> ModuleType:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return importlib.import_module(name)
