"""Training and serving preprocess photos alike: same crop, same pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.core.imaging.preprocessing import Preprocessor, crop_box
from service.core.imaging.resizers import Resizer
from tests.support.models.pictures import blobs, encoded, noise
from tests.support.models.tiny_model import image_limits, input_spec
from tests.support.repository import SHARED
from tests.support.resizers import RESIZERS
from training.views import Geometry, centre_box, centre_view

GEOMETRIES = (Geometry(256, 224), Geometry(224, 224), Geometry(146, 128), Geometry(37, 32))
SIZES = ((640, 480), (480, 640), (256, 256), (300, 200), (500, 375), (100, 80), (333, 1000))


def served(data: bytes, geometry: Geometry, resizer: Resizer = RESIZERS[0]) -> NDArray[np.int64]:
    spec = input_spec(
        height=geometry.crop,
        width=geometry.crop,
        resize={"policy": "shorter_side", "pixels": geometry.resize},
    )
    return Preprocessor(spec, image_limits(), resizer)(data).tensor.astype(np.int64)


@pytest.mark.parametrize(
    ("size", "geometry"),
    # From a sixth on the server averages blocks of pixels first.
    [(size, each) for size in SIZES for each in GEOMETRIES if min(size) < 5.5 * each.resize],
    ids=str,
)
def test_training_view_matches_serving_preprocessing(
    size: tuple[int, int], geometry: Geometry
) -> None:
    for image in (noise(size), blobs(size)):
        data, view = encoded(image, "BMP"), centre_view(image, geometry)
        for resizer in RESIZERS:
            difference = np.abs(served(data, geometry, resizer) - view)
            assert difference.max() <= 1, f"grey levels of 255, by {resizer}"


@pytest.mark.parametrize("size", SIZES)
def test_large_photo_stays_close_to_serving_preprocessing(size: tuple[int, int]) -> None:
    large, geometry = (size[0] * 4, size[1] * 4), Geometry(146, 128)
    image = blobs(large)
    view = centre_view(image, geometry)
    for name, mean in (("BMP", 1.5), ("JPEG", 6)):
        data = encoded(image, name, quality=95)
        assert np.abs(served(data, geometry) - view).mean() <= mean, "grey levels of 255"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_training_and_serving_crop_the_same_box(geometry: Geometry) -> None:
    spec = input_spec(
        height=geometry.crop,
        width=geometry.crop,
        resize={"policy": "shorter_side", "pixels": geometry.resize},
    )
    for width in range(1, 1200, 37):
        for height in range(1, 1200, 41):
            assert crop_box(width, height, spec)[0] == centre_box(width, height, geometry)


def photos() -> Iterator[tuple[str, float, NDArray[np.int64]]]:
    """Name, shrink and difference of real photos."""
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    geometry = Geometry(146, 128)
    for photo in sorted((SHARED / "photos" / "open").glob("*.jpg")):
        with Image.open(photo) as file:
            image = file.convert("RGB")
        shrink = min(image.size) / geometry.resize
        yield (
            photo.name,
            shrink,
            np.abs(served(photo.read_bytes(), geometry) - centre_view(image, geometry)),
        )


def test_real_photos_stay_within_the_tolerance() -> None:
    for name, shrink, difference in photos():
        if shrink < 2:
            assert difference.max() <= 1, name
        assert difference.mean() <= 6, name


def test_real_photos_are_within_a_grey_level_on_average() -> None:
    for name, _, difference in photos():
        assert difference.mean() <= 1, name
