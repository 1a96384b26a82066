"""Fuzzing with damaged files: the result is a tensor or a caller's error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.errors import CallerError
from service.core.imaging.preprocessing import Preprocessor
from tests.support.models.pictures import blobs, encoded, oriented
from tests.support.models.tiny_model import image_limits, input_spec
from tests.support.suite.examples import examples

# A false header may allocate this many pixels, so the limit is low.
LIMITS = image_limits(max_pixels=100_000, max_frames=4)
PHOTO = blobs((40, 30))
PAGES = {"save_all": True, "append_images": [blobs((40, 30), seed=1)]}
SEEDS = (
    encoded(PHOTO, "JPEG"),
    encoded(PHOTO, "JPEG", progressive=True),
    encoded(PHOTO.convert("CMYK"), "JPEG"),
    oriented(PHOTO, 6, "JPEG"),
    encoded(PHOTO, "PNG"),
    encoded(PHOTO.convert("P"), "PNG", transparency=bytes(range(200))),
    encoded(PHOTO, "PNG", **PAGES),
    encoded(Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257), "PNG"),
    encoded(PHOTO, "WEBP"),
    encoded(PHOTO, "WEBP", lossless=True, **PAGES),
    encoded(PHOTO, "GIF", **PAGES),
    encoded(PHOTO, "BMP"),
    encoded(PHOTO.convert("P"), "BMP"),
    encoded(PHOTO, "TIFF"),
    encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    encoded(PHOTO, "TIFF", compression="jpeg"),
    oriented(PHOTO, 8, "TIFF", compression="tiff_deflate"),
    encoded(PHOTO.convert("1"), "TIFF", compression="group4"),
)
PREPROCESSORS = tuple(
    Preprocessor(input_spec(width=8, height=8, colour=colour), LIMITS) for colour in ("RGB", "grey")
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file with a few bytes changed (mostly near the start), truncated or doubled."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        end = max(1, len(data) // draw(st.sampled_from([1, 1, 4, 16])))
        start = draw(st.integers(0, end - 1))
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "double"])):
            case "flip":
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "set":
                piece = draw(st.sampled_from([b"\0", b"\xff", b"\0" * 4, b"\xff" * 4, b"\x7f"]))
                data[start : start + len(piece)] = piece
            case "cut":
                del data[max(start, 8) :]
            case "drop":
                del data[start : start + draw(st.integers(1, 20))]
            case _:
                data[start:start] = data[start : start + draw(st.integers(1, 40))]
        if not data:
            break
    return bytes(data)


# Pillow warns of recoverable faults; outside of tests these are no errors.
@pytest.mark.filterwarnings("ignore")
@examples(1000)
@given(damaged(), st.sampled_from(PREPROCESSORS))
def test_damaged_image_raises_only_caller_errors(data: bytes, preprocessor: Preprocessor) -> None:
    try:
        prepared = preprocessor(data)
    except CallerError:
        return
    assert prepared.tensor.shape[:2] == (8, 8)
    assert prepared.width * prepared.height <= LIMITS.max_pixels


@pytest.mark.filterwarnings("ignore")
@examples(300)
@given(
    st.sampled_from(
        [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"MM\0+",
            b"RIFF\x20\0\0\0WEBP",
        ]
    ),
    st.binary(max_size=200),
)
def test_noise_after_a_signature_raises_a_caller_error(signature: bytes, rest: bytes) -> None:
    with pytest.raises(CallerError):
        PREPROCESSORS[0](signature + rest)
