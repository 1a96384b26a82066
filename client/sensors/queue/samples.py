"""Samples on their way into the queue, and frames that must change on their way out."""

from __future__ import annotations

import numpy as np

from client.sensors.queue.segment import StoredFrame
from schemas.sensor_wire.frames import HEADER, Frame, FrameType
from schemas.sensor_wire.messages import Data, data_of, encode, parse
from schemas.sensor_wire.packing import FLOAT, Samples


def as_samples(values: object, channels: int) -> Samples:
    """Return samples of shape [n, channels], float32; one channel may come as [n].

    Raises:
        ValueError: another shape.
    """
    array = np.ascontiguousarray(values, FLOAT)
    if array.ndim == 1:
        array = array.reshape(-1, channels) if channels == 1 else array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != channels:
        message = f"samples have the shape [n, {channels}], not {list(array.shape)}"
        raise ValueError(message)
    return array


def part_of(frame: StoredFrame, start: int, end: int, channels: int) -> bytes:
    """Return a frame with some of the samples; the time is known of the first one alone."""
    data = _data_of(frame)
    values = data.values(channels)[start - frame.first : end - frame.first]
    time_us = data.time_us if start == frame.first else 0
    return encode(data_of(start, values, time_us=time_us, packing=data.packing))


def renumbered(frame: StoredFrame, began: int) -> bytes:
    """Return the frame with ``began`` subtracted from its sequence number."""
    data = _data_of(frame)
    return encode(Data(data.first - began, data.time_us, data.count, data.packing, data.packed))


def _data_of(frame: StoredFrame) -> Data:
    data = parse(Frame(FrameType.DATA, frame.data[HEADER.size :]))
    assert isinstance(data, Data)  # noqa: S101 - the queue holds nothing else
    return data
