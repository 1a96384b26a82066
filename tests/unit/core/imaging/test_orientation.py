"""EXIF orientation: rotated and mirrored photos are turned upright."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, gradient, oriented, textbook
from tests.support.models.tiny_model import image_limits, input_spec


def prepare(data: bytes, **changes: object) -> PreparedImage:
    return Preprocessor(input_spec(**changes), image_limits())(data)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_rotated_photo_gives_the_upright_tensor(name: str, orientation: int) -> None:
    upright = blobs((120, 90))
    options: dict[str, object] = {"quality": 100, "subsampling": 0} if name == "JPEG" else {}
    if name == "WEBP":
        options = {"lossless": True}
    prepared = prepare(
        oriented(upright, orientation, name, **options),
        resize={"policy": "shorter_side", "pixels": 80},
    )
    expected = textbook(upright, 80, (32, 32)).astype(int)
    assert (prepared.width, prepared.height) == (120, 90)
    # Pillow scales across first, then down, with a rounding in between; JPEG loses a little.
    assert np.abs(prepared.tensor - expected).max() <= (6 if name == "JPEG" else 2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_deflate", "packbits"])
def test_rotated_tiff_gives_the_upright_tensor(orientation: int, compression: str | None) -> None:
    upright = blobs((120, 90))
    prepared = prepare(oriented(upright, orientation, "TIFF", compression=compression))
    assert (prepared.width, prepared.height) == (120, 90)
    expected = textbook(upright, 36, (32, 32)).astype(int)
    assert np.abs(prepared.tensor - expected).max() <= 1


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_large_rotated_jpeg_gives_the_upright_tensor(orientation: int) -> None:
    upright = gradient((960, 640))
    prepared = prepare(oriented(upright, orientation, "JPEG", quality=95))
    difference = np.abs(prepared.tensor - textbook(upright, 36, (32, 32)).astype(int))
    assert difference.max() <= 6, "of 255 grey levels; a wrong turn is off by a hundred"


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_invalid_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = gradient((64, 48))
    assert np.array_equal(
        prepare(encoded(upright, exif=exif)).tensor, prepare(encoded(upright)).tensor
    )


def test_damaged_metadata_does_not_change_the_tensor() -> None:
    upright = gradient((64, 48))
    data = encoded(upright, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(prepare(data).tensor, prepare(encoded(upright)).tensor)


def test_orientation_after_the_pixels_of_a_png_is_applied() -> None:
    upright = gradient((64, 48))
    turned = oriented(upright, 6, "PNG")
    start = turned.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(turned[start : start + 4])
    rest = turned[:start] + turned[end:]
    last = rest.rindex(b"IEND") - 4
    prepared = prepare(rest[:last] + turned[start:end] + rest[last:])
    assert (prepared.width, prepared.height) == (64, 48)
