"""Preprocessing equals the textbook method: scale, crop the centre, normalise."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import UnsupportedImage
from service.core.imaging.preprocessing import Preprocessor, crop_box
from service.core.imaging.resizers import Resizer
from tests.support.models.pictures import (
    blobs,
    encoded,
    gradient,
    noise,
    oriented,
    plain,
    textbook,
)
from tests.support.models.tiny_model import image_limits, input_spec
from tests.support.resizers import RESIZERS
from tests.support.suite.examples import examples

LIMITS = image_limits()
thorough = examples(80)


def tensor(data: bytes, resizer: Resizer = RESIZERS[0], /, **changes: object) -> NDArray[Any]:
    return Preprocessor(input_spec(**changes), LIMITS, resizer)(data).tensor


def geometry(pixels: int, width: int, height: int) -> dict[str, object]:
    resize = {"policy": "shorter_side", "pixels": pixels}
    return {"width": width, "height": height, "resize": resize}


def off(data: bytes, pixels: int, width: int, height: int) -> NDArray[np.int64]:
    """Difference to the textbook of each value, in grey levels, with the less exact resizer."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        expected = textbook(image, pixels, (width, height)).astype(np.int64)
    changes = geometry(pixels, width, height)
    found = (np.abs(tensor(data, resizer, **changes) - expected) for resizer in RESIZERS)
    furthest: NDArray[np.int64] = np.maximum.reduce(list(found))
    return furthest


@thorough
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 48), st.integers(1, 48), st.integers(0, 16)),
    st.sampled_from(["PNG", "BMP", "TIFF"]),
    st.booleans(),
)
def test_any_size_matches_the_textbook_within_rounding(
    size: tuple[int, int], target: tuple[int, int, int], name: str, is_noisy: bool
) -> None:
    width, height, border = target
    pixels = max(width, height) + border
    assume(min(size) < 5.5 * pixels)  # from about 6 Pillow averages blocks: see below
    assume(max(size) * pixels < 20_000 * min(size))  # the textbook would need a gigabyte
    image = noise(size) if is_noisy else blobs(size)
    difference = off(encoded(image, name), pixels, width, height)
    # Two rounded passes, across and down: in one image of 200 both differ somewhere.
    assert difference.max() <= 2
    assert difference.size < 100 or np.percentile(difference, 99) <= 1


@pytest.mark.parametrize("size", [(256, 256), (500, 375), (640, 480), (1280, 720), (1000, 1499)])
def test_common_sizes_match_within_one_grey_level(size: tuple[int, int]) -> None:
    assert off(encoded(noise(size), compress_level=1), 256, 224, 224).max() <= 1


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (2, 3), (5000, 40), (40, 5000), (1, 1)])
def test_extreme_aspect_ratios_match_within_one_grey_level(size: tuple[int, int]) -> None:
    assert off(encoded(noise(size)), 32, 32, 32).max() <= 1


@pytest.mark.parametrize("size", [(640, 480), (400, 300), (900, 500)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_below_twice_the_size_matches_within_one_level(
    size: tuple[int, int], mode: str
) -> None:
    image = noise(size).convert(mode)
    assert off(encoded(image, "JPEG", quality=90), 256, 224, 224).max() <= 1


@pytest.mark.parametrize("size", [(520, 512), (1200, 900), (2600, 1950), (4000, 1000)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_large_jpeg_decoded_at_reduced_scale_stays_close(size: tuple[int, int], mode: str) -> None:
    difference = off(encoded(blobs(size).convert(mode), "JPEG", quality=92), 256, 224, 224)
    assert difference.mean() <= 2.5, "grey levels of 255"
    assert np.percentile(difference, 99) <= 9
    smooth = off(encoded(gradient(size).convert(mode), "JPEG", quality=92), 256, 224, 224)
    assert smooth.max() <= 4


@pytest.mark.parametrize("size", [(200, 192), (640, 480), (1601, 1203)])
def test_block_averaging_of_large_images_stays_close(size: tuple[int, int]) -> None:
    difference = off(encoded(noise(size)), 32, 32, 32)
    assert difference.mean() <= 1.5, "grey levels of 255, on noise"
    assert difference.max() <= 8


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(gradient(image.size).convert("L"))
    return image


PHOTO = blobs((160, 120), seed=4)
PALETTE = PHOTO.convert("P", palette=Image.Palette.ADAPTIVE)
KEY = PHOTO.getpixel((80, 60))
MODES = {
    "grey": encoded(PHOTO.convert("L")),
    "grey with a key colour": encoded(PHOTO.convert("L"), transparency=100),
    "one bit": encoded(PHOTO.convert("1")),
    "one bit with a key colour": encoded(PHOTO.convert("1"), transparency=0),
    "sixteen bits": encoded(sixteen_bits(PHOTO)),
    "sixteen bits TIFF": encoded(sixteen_bits(PHOTO), "TIFF"),
    "RGB with a key colour": encoded(PHOTO, transparency=KEY),
    "RGBA": encoded(with_alpha(PHOTO)),
    "RGBA WebP": encoded(with_alpha(PHOTO), "WEBP", lossless=True),
    "RGBA TIFF": encoded(with_alpha(PHOTO), "TIFF"),
    "LA": encoded(with_alpha(PHOTO.convert("L"))),
    "LA TIFF": encoded(with_alpha(PHOTO.convert("L")), "TIFF"),
    "palette": encoded(PALETTE),
    "palette with one clear colour": encoded(PALETTE, transparency=3),
    "palette with alphas": encoded(PALETTE, transparency=bytes(range(256))),
    "palette GIF": encoded(PALETTE, "GIF"),
    "palette GIF with a clear colour": encoded(PALETTE, "GIF", transparency=3),
    "palette BMP": encoded(PALETTE, "BMP"),
    "one bit BMP": encoded(PHOTO.convert("1"), "BMP"),
    "CMYK TIFF": encoded(PHOTO.convert("CMYK"), "TIFF"),
    "YCbCr TIFF": encoded(PHOTO.convert("YCbCr"), "TIFF"),
    "fax TIFF": encoded(PHOTO.convert("1"), "TIFF", compression="group4"),
    "LZW TIFF": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    "lossy WebP": encoded(PHOTO, "WEBP", quality=80),
}


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize("colour", ["RGB", "grey"])
@pytest.mark.parametrize("name", MODES)
def test_every_pixel_mode_is_converted_like_the_textbook(
    name: str, colour: str, resizer: Resizer
) -> None:
    with Image.open(io.BytesIO(MODES[name])) as image:
        image.load()
        expected = textbook(image, 36, (32, 32), "L" if colour == "grey" else "RGB")
    found = tensor(MODES[name], resizer, colour=colour).squeeze()
    assert np.abs(found - expected.astype(int)).max() <= 1


def test_large_image_converted_in_strips_stays_close() -> None:
    photo = blobs((1500, 1200))  # a strip has a million pixels
    for image, pixels in ((photo.convert("L"), 256), (photo.convert("P"), 256), (photo, 64)):
        stored = image if pixels == 256 else with_alpha(image)
        difference = off(encoded(stored, "TIFF"), pixels, 64, 64)
        assert difference.mean() <= 1.5, "grey levels of 255"
        assert difference.max() <= 8


def test_transparent_pixels_become_white() -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert tensor(encoded(clear)).min() == 255


def test_sixteen_bit_samples_are_scaled_not_clipped() -> None:
    grey = gradient((160, 120)).convert("L")
    assert np.array_equal(tensor(encoded(sixteen_bits(grey))), tensor(encoded(grey)))
    assert tensor(encoded(sixteen_bits(grey))).std() > 20


def test_thirty_two_bit_samples_are_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(UnsupportedImage):
            tensor(encoded(Image.new(mode, (64, 64)), "TIFF"))


def test_lab_tiff_is_converted_for_a_grey_model() -> None:
    found = tensor(encoded(PHOTO.convert("LAB"), "TIFF"), colour="grey").squeeze()
    difference = np.abs(found - textbook(PHOTO, 36, (32, 32), "L").astype(np.int64))
    assert difference.mean() <= 1
    assert difference.max() <= 8, "LAB has whole steps of lightness and of colour"


def test_values_are_scaled_shifted_and_divided_per_channel() -> None:
    scale, mean, std = 1 / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    data = encoded(PHOTO)
    pixels = tensor(data).astype(np.float64)
    found = tensor(data, dtype="float32", scale=scale, mean=mean, std=std)
    assert found.dtype == np.float32
    assert np.allclose(found, (pixels * scale - mean) / std, atol=1e-5)


def test_single_mean_and_deviation_apply_to_all_channels() -> None:
    data = encoded(PHOTO)
    found = tensor(data, dtype="float32", scale=1 / 255, mean=[0.5], std=[0.25])
    assert np.allclose(found, (tensor(data) / 255 - 0.5) / 0.25, atol=1e-5)


def test_means_follow_the_channel_order() -> None:
    changes = {"dtype": "float32", "colour": "BGR", "mean": [104, 117, 123]}
    found = tensor(plain((1, 2, 3)), **changes)
    assert np.allclose(found[0, 0], (3 - 104, 2 - 117, 1 - 123))


@pytest.mark.parametrize("colour", ["RGB", "BGR", "grey"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_both_layouts_hold_the_same_values(dtype: str, colour: str) -> None:
    size = geometry(40, 32, 24)
    rows = tensor(encoded(PHOTO), dtype=dtype, colour=colour, layout="NHWC", **size)
    planes = tensor(encoded(PHOTO), dtype=dtype, colour=colour, layout="NCHW", **size)
    channels = 1 if colour == "grey" else 3
    assert (rows.shape, planes.shape) == ((24, 32, channels), (channels, 24, 32))
    assert rows.flags.c_contiguous
    assert planes.flags.c_contiguous
    assert np.array_equal(rows.transpose(2, 0, 1), planes)
    assert rows.dtype == planes.dtype == np.dtype(dtype)


def test_bgr_is_rgb_reversed() -> None:
    data = encoded(PHOTO)
    assert np.array_equal(tensor(data, colour="BGR"), tensor(data)[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "filter_"),
    [
        ("nearest", Image.Resampling.NEAREST),
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
def test_squash_scales_both_sides_with_the_chosen_filter(
    name: str, filter_: Image.Resampling
) -> None:
    found = tensor(encoded(PHOTO), resize={"policy": "squash", "interpolation": name})
    expected = np.asarray(PHOTO.resize((32, 32), filter_), np.int64)
    assert np.abs(found - expected).max() <= 1


def test_squash_accepts_palette_images() -> None:
    squash = {"policy": "squash"}
    found = tensor(encoded(PALETTE), resize=squash)
    expected = np.asarray(PALETTE.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert np.abs(found - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_squash_turns_rotated_photos_upright(orientation: int) -> None:
    data = oriented(PHOTO, orientation, "PNG")
    found = tensor(data, width=40, height=24, resize={"policy": "squash"})
    expected = np.asarray(PHOTO.resize((40, 24), Image.Resampling.BILINEAR), np.int64)
    assert np.abs(found - expected).max() <= 1


@thorough
@given(st.integers(1, 100_000), st.integers(1, 100_000), st.integers(1, 256), st.integers(0, 64))
def test_crop_box_lies_within_the_image(width: int, height: int, crop: int, border: int) -> None:
    spec = input_spec(**geometry(crop + border, crop, crop))
    (left, upper, right, lower), scaled = crop_box(width, height, spec)
    assert 0 <= left < right <= width * (1 + 1e-9)
    assert 0 <= upper < lower <= height * (1 + 1e-9)
    assert min(scaled) == crop + border


def test_decoding_and_preprocessing_times_are_reported() -> None:
    prepared = Preprocessor(input_spec(), LIMITS)(encoded(PHOTO))
    assert prepared.decode_seconds > 0
    assert prepared.preprocess_seconds > 0
