"""Parts and copies of frames."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from schemas.cameras import Crop
from schemas.errors import ImageTooLarge, UnsupportedImage
from service.cameras.pipeline.motion import GREY_SIZE, difference
from service.cameras.pipeline.pictures import PART_SIDE, prepare, preview
from service.core.imaging.image_limits import ImageLimits
from tests.support.models.pictures import encoded, gradient, noise, oriented

LIMITS = ImageLimits(max_pixels=50_000_000, max_frames=10, max_decode_bytes=2**28)
RIGHT = Crop(x=0.5, y=0, width=0.5, height=1)


def halves(size: tuple[int, int] = (400, 200)) -> Image.Image:
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_frame_without_a_crop_is_classified_as_it_is() -> None:
    frame = encoded(gradient(), "JPEG")
    assert prepare(frame, None, LIMITS, has_gate=True).image is frame


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_crop_cuts_out_its_part(format_: str) -> None:
    part = opened(prepare(encoded(halves(), format_), RIGHT, LIMITS, has_gate=False).image)
    assert (part.format, part.size) == ("JPEG", (200, 200))
    assert np.abs(np.asarray(part.convert("RGB")) - np.array([0, 0, 255])).mean() < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_is_of_the_upright_picture(orientation: int) -> None:
    frame = oriented(halves(), orientation, "JPEG", quality=95)
    part = opened(prepare(frame, RIGHT, LIMITS, has_gate=False).image)
    assert part.size == (200, 200)
    assert np.asarray(part.convert("RGB"))[10:190, 10:190, 2].min() > 200


def test_large_part_is_made_smaller() -> None:
    frame = encoded(halves((4000, 2000)), "JPEG")
    part = opened(prepare(frame, Crop(width=1, height=0.5), LIMITS, has_gate=False).image)
    assert part.size == (PART_SIDE, PART_SIDE // 4)


def test_grey_copy_has_its_size_and_is_of_the_part() -> None:
    frame = encoded(halves(), "JPEG", quality=95)
    whole = prepare(frame, None, LIMITS, has_gate=True).grey
    part = prepare(frame, RIGHT, LIMITS, has_gate=True).grey
    assert whole is not None
    assert part is not None
    assert len(whole) == len(part) == GREY_SIZE[0] * GREY_SIZE[1]
    assert difference(part, bytes([29]) * len(part)) < 2, "blue alone"
    assert difference(whole, part) > 10


def test_noise_of_a_sensor_is_no_motion() -> None:
    scene = gradient((1280, 720))
    frames = [
        encoded(Image.blend(scene, noise((1280, 720), seed), 0.05), "JPEG", quality=80)
        for seed in (1, 2)
    ]
    one, other = (prepare(frame, None, LIMITS, has_gate=True).grey for frame in frames)
    assert one is not None
    assert other is not None
    assert difference(one, other) < 2


def test_preview_is_a_small_jpeg_without_metadata() -> None:
    frame = oriented(gradient((1600, 1200)), 6, "JPEG")
    small = opened(preview(frame, LIMITS))
    assert (small.format, small.size) == ("JPEG", (640, 480))
    assert not small.getexif()


@pytest.mark.parametrize(
    ("frame", "error"),
    [(b"<html>", UnsupportedImage), (encoded(Image.new("L", (9000, 9000)), "PNG"), ImageTooLarge)],
)
def test_bad_frames_are_refused_within_the_limits(frame: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        preview(frame, LIMITS)
    with pytest.raises(error):
        prepare(frame, RIGHT, LIMITS, has_gate=False)
    with pytest.raises(error):
        prepare(frame, None, LIMITS, has_gate=True)
