"""Hashes of photos, and near-duplicates among many."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.teach.choosing.near_duplicates import NEAR, HashIndex, group_near
from service.teach.choosing.perceptual_hash import as_hex, difference_hash, hash_of

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=40)


def photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return a smooth random picture."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int, exif: Image.Exif | None = None) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, exif=exif or Image.Exif())
    return buffer.getvalue()


def test_a_picture_that_darkens_to_the_right_has_all_bits_clear() -> None:
    ramp = np.tile(np.linspace(255, 0, 90, dtype=np.uint8), (80, 1))
    assert difference_hash(Image.fromarray(ramp)) == 0
    assert as_hex(difference_hash(Image.fromarray(ramp[:, ::-1]))) == "f" * 16


@pytest.mark.parametrize("seed", range(8))
def test_the_same_photo_stays_near_when_scaled_and_compressed(seed: int) -> None:
    image = photo(seed)
    original = hash_of(as_jpeg(image, 95))
    other = hash_of(as_jpeg(image.resize((200, 150)), 60))
    assert (original ^ other).bit_count() <= NEAR


def test_other_photos_are_far() -> None:
    hashes = [difference_hash(photo(seed)) for seed in range(30)]
    distances = [(a ^ b).bit_count() for a in hashes for b in hashes if a is not b]
    assert min(distances) > NEAR


def test_the_orientation_is_that_of_the_exif() -> None:
    image, exif = photo(3), Image.Exif()
    exif[0x0112] = 6
    turned = hash_of(as_jpeg(image.transpose(Image.Transpose.ROTATE_90), 95, exif))
    assert (turned ^ difference_hash(image)).bit_count() <= NEAR


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_has_a_hash(mode: str) -> None:
    assert 0 <= difference_hash(photo(1).convert("L").convert(mode)) < 2**64


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        hash_of(b"not an image")


@given(HASHES, st.integers(0, 2**64 - 1), st.integers(0, 64))
def test_search_is_that_of_the_definition(hashes: list[int], value: int, within: int) -> None:
    index = HashIndex(hashes[:20])
    for other in hashes[20:]:
        index.add(other)
    expected = {
        place for place, other in enumerate(hashes) if (other ^ value).bit_count() <= within
    }
    found = index.near(value, within)
    assert set(found.tolist()) == expected
    distances = [(hashes[place] ^ value).bit_count() for place in found]
    assert distances == sorted(distances)
    assert index.has_near(value, within) == bool(expected)
    assert len(index) == len(hashes)


def test_groups_join_chains_of_near_photos() -> None:
    hashes = np.array([0b0, 0b11, 0b1111, 0xFF << 40, 0xFFFF_FFFF, 0xFE << 40], np.uint64)
    assert group_near(hashes, within=2).tolist() == [0, 0, 0, 1, 2, 1]
    assert group_near(np.zeros(0, np.uint64)).tolist() == []
