"""Both resizers give the same pixels, to within one grey level."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from schemas.manifest.model_input import Interpolation
from service.core.imaging import resizers
from service.core.imaging.orientation import Box
from service.core.imaging.resizers import Resizer, ResizerMissing, best_resizer, check_resizer
from service.core.imaging.resizing import FILTERS, REDUCING_GAP, resize_with
from service.core.settings import InferenceSettings
from tests.support.models.pictures import blobs, gradient, noise
from tests.support.resizers import needs_cykooz
from tests.support.suite.examples import examples

Size = tuple[int, int]
PATTERNS = ("noise", "black and white", "blobs", "bands")
shares = st.floats(0, 1)


def picture(pattern: str, size: Size, mode: str) -> Image.Image:
    if pattern == "blobs":
        return blobs(size).convert(mode)
    if pattern == "bands":  # whole columns are rounded alike, which filters that overshoot increase
        return (
            noise((size[0], 1 + size[1] // 4)).resize(size, Image.Resampling.NEAREST).convert(mode)
        )
    drawn = noise(size)
    if pattern == "black and white":  # overshoots most, where a filter does
        drawn = drawn.point([0] * 128 + [255] * 128 + ([0] * 128 + [255] * 128) * 2)
    return drawn.convert(mode)


def pixels(
    resizer: Resizer, name: str, image: Image.Image, size: Size, box: Box
) -> NDArray[np.int_]:
    resize = resize_with(resizer, Interpolation(name))
    return np.asarray(resize(image, size, box)).astype(int)


def difference(name: str, image: Image.Image, size: Size, box: Box) -> int:
    """The largest difference of the two resizers, in grey levels."""
    found, expected = (pixels(resizer, name, image, size, box) for resizer in Resizer)
    assert found.shape == expected.shape
    return int(np.abs(found - expected).max())


def span(one: float, other: float, length: int) -> tuple[float, float]:
    """Two places on a side of an image, at least a hundredth of a pixel apart."""
    near, far = sorted((one * length, other * length))
    return min(near, length - 0.01), max(far, min(near, length - 0.01) + 0.01)


@needs_cykooz
@examples(400)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.tuples(shares, shares, shares, shares),
    st.sampled_from(["RGB", "L"]),
    st.sampled_from(list(Interpolation)),
    st.sampled_from(PATTERNS),
)
def test_both_are_within_one_grey_level(
    size: Size,
    target: Size,
    places: tuple[float, float, float, float],
    mode: str,
    name: Interpolation,
    pattern: str,
) -> None:
    left, right = span(places[0], places[1], size[0])
    upper, lower = span(places[2], places[3], size[1])
    image, box = picture(pattern, size, mode), (left, upper, right, lower)
    assert difference(name, image, target, box) <= 1


@needs_cykooz
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [0.4, 1.05, 1.1, 1.25, 1.7, 2.2])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_many_pixels_are_within_one_grey_level(pattern: str, scale: float, name: str) -> None:
    """Two passes by SIMD are two levels off in up to one value of 10,000."""
    image = picture(pattern, (600, 500), "RGB")
    box = (3.37, 3.37, 583.37, 483.37)
    assert difference(name, image, (int(580 / scale), int(480 / scale)), box) <= 1


@needs_cykooz
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", list(Interpolation))
@pytest.mark.parametrize(
    ("size", "target", "box"),
    [
        ((1, 1), (1, 1), (0, 0, 1, 1)),
        ((1, 1), (32, 24), (0, 0, 1, 1)),
        ((300, 1), (24, 32), (0, 0, 300, 1)),
        ((1, 300), (24, 32), (0, 0, 1, 300)),
        ((64, 48), (64, 48), (0, 0, 64, 48)),
        ((64, 48), (20, 20), (0, 0, 20, 20)),
        ((64, 48), (20, 20), (44, 28, 64, 48)),
        ((500, 375), (224, 224), (86, 23.5, 414, 351.5)),
        ((3000, 40), (33, 9), (2000.3, 0, 3000, 40)),
        ((20_011, 31), (224, 224), (19_980.37, 0.2, 20_011, 30.9)),
        ((4400, 4200), (900, 1000), (0.5, 0, 4400, 4199.25)),
    ],
)
def test_edges_and_sizes_that_are_kept_apart_in_memory(
    mode: str, name: str, size: Size, target: Size, box: Box
) -> None:
    assert difference(name, noise(size).convert(mode), target, box) <= 1


@needs_cykooz
@pytest.mark.parametrize("shrink", [3, 5.9, 6, 9.5, 40])
@pytest.mark.parametrize("offset", [0, 7.3])
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_large_images_are_averaged_in_the_same_blocks(
    name: str, shrink: float, offset: float
) -> None:
    side = int(32 * shrink) + 20
    box = (offset, offset, offset + 32 * shrink, offset + 24 * shrink)
    assert difference(name, noise((side, side)), (32, 24), box) <= 1


@needs_cykooz
def test_box_may_reach_beyond_the_image_by_rounding() -> None:
    image = noise((333, 1000))
    for lower in (1000, 1000.0000001):
        assert difference("bilinear", image, (20, 20), (0.1, 667, 333.00000001, lower)) <= 1


@needs_cykooz
@pytest.mark.parametrize("target", [(20, 30), (88, 30), (20, 61)])
@pytest.mark.parametrize("name", ["nearest", "bicubic", "lanczos"])
def test_filters_other_than_bilinear_are_those_of_pillow(name: str, target: Size) -> None:
    image, box = noise((97, 61)), (3.2, 0.4, 90.7, 60.1)
    expected = np.asarray(image.resize(target, FILTERS[Interpolation(name)], box, REDUCING_GAP))
    for resizer in Resizer:
        assert np.array_equal(pixels(resizer, name, image, target, box), expected)


@needs_cykooz
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (1000, 750), (300, 290), (400, 1600)])
def test_nearly_all_pixels_of_photos_are_equal(size: Size) -> None:
    image, side = noise(size), min(size) * 224 / 256
    left, upper = ((length - side) / 2 for length in size)
    box = (left, upper, left + side, upper + side)
    found, expected = (pixels(resizer, "bilinear", image, (224, 224), box) for resizer in Resizer)
    assert np.mean(found != expected) < 0.01


@needs_cykooz
def test_chosen_package_does_the_work() -> None:
    image, box = noise((2000, 1500)), (0, 0, 2000, 1500)
    assert difference("bilinear", image, (800, 600), box) == 1, "some are rounded otherwise"


@needs_cykooz
def test_threads_share_a_resizer_without_mixing_images() -> None:
    resize = resize_with(Resizer.CYKOOZ, Interpolation.BILINEAR)
    images = [noise((200, 150), seed=seed) for seed in range(4)]
    box = (0.0, 0.0, 200.0, 150.0)
    expected = [np.asarray(resize(image, (64, 64), box)) for image in images]
    start = threading.Barrier(4)
    wrong: list[bool] = []

    def work(number: int) -> None:
        start.wait()
        found = (resize(images[number], (64, 64), box) for _ in range(50))
        wrong.extend(not np.array_equal(np.asarray(each), expected[number]) for each in found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 200
    assert not any(wrong)


def test_image_is_not_changed() -> None:
    for resizer in (best_resizer(), Resizer.PILLOW):
        image = gradient((640, 480))
        before = image.tobytes()
        pixels(resizer, "bilinear", image, (20, 20), (0, 0, 640, 480))
        assert image.tobytes() == before


@needs_cykooz
def test_other_pillow_makes_pillow_the_resizer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert best_resizer() is Resizer.CYKOOZ
    monkeypatch.setattr(resizers, "KNOWN_PILLOW", "12")
    assert best_resizer() is Resizer.PILLOW
    check_resizer(Resizer.PILLOW)
    with pytest.raises(ResizerMissing, match=r"^cykooz-resizer cannot be used: it reads images of"):
        resize_with(Resizer.CYKOOZ, Interpolation.BILINEAR)
    assert InferenceSettings().resizer is Resizer.PILLOW
    with pytest.raises(ValidationError, match="cannot be used: it reads images of Pillow 12"):
        InferenceSettings(resizer=Resizer.CYKOOZ)
