"""Videos made by PyAV, whose frames can be told apart by their colour."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image

STEP = 8
"""Grey levels between two frames."""


def write_video(
    path: Path,
    *,
    seconds: float = 2,
    rate: int = 10,
    key_every: int = 10,
    size: tuple[int, int] = (320, 240),
    container: str | None = None,
    codec: str = "libx264",
) -> Path:
    """Write a video; frame ``n`` has the grey level ``STEP * n`` modulo 240.

    Args:
        path: of the file; its ending decides the container, unless ``container`` does.
        seconds: of the video.
        rate: frames a second.
        key_every: frames from one key frame to the next.
        size: width and height.
        container: FFmpeg's name.
        codec: FFmpeg's name of the encoder.
    """
    width, height = size
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.gop_size = width, height, key_every
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec != "mjpeg":
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        if codec == "libx264":
            stream.options |= {"sc_threshold": "0"}
        for number in range(int(seconds * rate)):
            level = STEP * number % 240
            pixels = np.full((height, width, 3), level, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode())
    return path


def number_of(jpeg: bytes) -> int:
    """Return the number of a frame, modulo 30."""
    level = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")).mean()
    return round(float(level) / STEP)


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Return width and height of an image."""
    return Image.open(io.BytesIO(jpeg)).size
