"""The decoders' native libraries write nothing to standard error, which has our log."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from PIL import features

from schemas.errors import CallerError
from service.core.imaging.preprocessing import Preprocessor
from tests.support.models.pictures import encoded, noise
from tests.support.models.tiny_model import image_limits, input_spec

DAMAGED_BYTES = 120
TIFF = ("tiff_lzw", "group3", "group4", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")


def damaged(data: bytes, seed: int) -> bytes:
    """Add noise in the middle of the file, in the pixel data."""
    start = (len(data) - DAMAGED_BYTES) // 2
    noisy = np.random.default_rng(seed).bytes(DAMAGED_BYTES)
    return data[:start] + noisy + data[start + DAMAGED_BYTES :]


@pytest.mark.parametrize("compression", TIFF)
@pytest.mark.parametrize("seed", range(3))
def test_libtiff_is_quiet_about_damaged_files(
    compression: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = noise((64, 64)).convert("1" if compression.startswith("group") else "RGB")
    data = damaged(encoded(picture, "TIFF", compression=compression), seed)
    with suppress(CallerError):
        Preprocessor(input_spec(), image_limits())(data)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("seed", range(3))
def test_other_decoders_are_quiet_about_damaged_files(
    name: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = damaged(encoded(noise((64, 64)), name), seed)
    with suppress(CallerError):
        Preprocessor(input_spec(), image_limits())(data)
    assert capfd.readouterr().err == ""


def test_libtiff_is_there() -> None:
    assert features.check("libtiff")
