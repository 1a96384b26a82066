"""A JPEG without its last bytes is accepted as browsers show it; half a JPEG is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from schemas.errors import InvalidImage
from service.core.engine.pool import SlowWork
from service.core.imaging.decoding import CUT_PIXELS, open_image, region
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, oriented, plain
from tests.support.models.tiny_model import image_limits, input_spec

PHOTO = blobs((640, 480))
FILES = {
    "baseline": encoded(PHOTO, "JPEG", quality=90),
    "progressive": encoded(PHOTO, "JPEG", quality=90, progressive=True),
    "grey": encoded(PHOTO.convert("L"), "JPEG", quality=90),
    "CMYK": encoded(PHOTO.convert("CMYK"), "JPEG", quality=90),
    "with restarts": encoded(PHOTO, "JPEG", quality=90, restart_marker_rows=1),
    "on white": encoded(Image.new("RGB", (640, 480), "white"), "JPEG"),
    "on white, progressive": encoded(Image.new("RGB", (640, 480), "white"), "JPEG", progressive=True),
    "turned": oriented(PHOTO, 6, "JPEG", quality=90),
}  # fmt: skip


def prepare(data: bytes, pixels: int = 400) -> PreparedImage:
    spec = input_spec(
        width=pixels, height=pixels, resize={"policy": "shorter_side", "pixels": pixels}
    )
    return Preprocessor(spec, image_limits())(data)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_only_its_last_bytes_is_taken(name: str, cut: int) -> None:
    whole = FILES[name]
    prepared = prepare(whole[:-cut])
    assert prepared.is_truncated
    if cut <= 2:
        assert np.array_equal(prepared.tensor, prepare(whole).tensor)


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_not_truncated(name: str) -> None:
    assert not prepare(FILES[name]).is_truncated


@pytest.mark.parametrize("pixels", [32, 100, 400])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", ["baseline", "progressive", "grey", "with restarts", "turned"])
def test_part_of_a_file_is_refused(name: str, share: float, pixels: int) -> None:
    data = FILES[name]
    with pytest.raises(InvalidImage):
        prepare(data[: int(len(data) * share)], pixels)


@pytest.mark.parametrize("name", ["baseline", "grey"])
def test_the_share_of_pixels_decides(name: str) -> None:
    """Bytes are spread over the rows almost evenly in this photo."""
    data = FILES[name]
    start = data.index(b"\xff\xda")
    scan = len(data) - start

    def is_taken(share: float) -> bool:
        try:
            return prepare(data[: start + int(scan * share)]).is_truncated
        except InvalidImage:
            return False

    assert [is_taken(share) for share in (0.96, 0.97, 0.998)] == [False, False, True]


def test_what_follows_the_end_does_not_matter() -> None:
    assert not prepare(FILES["baseline"] + bytes(1000)).is_truncated
    assert not prepare(FILES["baseline"] + FILES["grey"][:1000]).is_truncated


@pytest.mark.parametrize("format", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_refused_if_pixels_are_missing(format: str) -> None:  # noqa: A002
    data = encoded(PHOTO, format)
    with pytest.raises(InvalidImage):
        prepare(data[: len(data) * 9 // 10])


def test_a_large_one_belongs_on_the_slow_lane() -> None:
    side = int(CUT_PIXELS**0.5) + 8
    data = plain(size=(side, side), format="JPEG")[:-2]
    with (
        pytest.raises(SlowWork),
        open_image(data, image_limits(), may_be_slow=False) as image,
    ):
        region(image, (0, 0, side, side), "RGB", (32, 32))
    assert prepare(data, 32).is_truncated
