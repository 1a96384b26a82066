"""HEIC and AVIF are named in refusals, and decoded if the extra is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from schemas.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from service.core.engine.pool import SlowWork
from service.core.imaging.decoding import open_image
from service.core.imaging.formats import heif
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.orientation import UPRIGHT
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, plain
from tests.support.models.tiny_model import image_limits, input_spec

PHOTO = blobs((96, 64))
UNDO = {6: 8, 8: 6}


def saved(image: Image.Image, name: str, orientation: int = 1) -> bytes:
    """A file of the format; the pixels are turned so that the orientation turns them upright."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation > 1:
        image = image.transpose(UPRIGHT[UNDO.get(orientation, orientation)])
    return encoded(image, heif.PLUGINS[name], quality=95, exif=exif.tobytes())


def prepare(data: bytes, limits: ImageLimits | None = None) -> PreparedImage:
    return Preprocessor(input_spec(), limits or image_limits())(data)


@pytest.fixture
def _without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package impossible to find and to import."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


def box(brand: bytes, *compatible: bytes) -> bytes:
    """A file type box without further data."""
    size = 16 + 4 * len(compatible)
    return size.to_bytes(4) + b"ftyp" + brand + bytes(4) + b"".join(compatible) + bytes(40)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC"),
        (box(b"heix"), "HEIC"),
        (box(b"mif1", b"mif1", b"heic"), "HEIC"),
        (box(b"msf1", b"hevc"), "HEIC"),
        (box(b"avif", b"avif", b"mif1", b"miaf"), "AVIF"),
        (box(b"mif1", b"avif"), "AVIF"),
        (box(b"avis", b"msf1"), "AVIF"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), "JPEG 2000"),
        (b"8BPS\0\1" + bytes(20), "PSD"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
@pytest.mark.usefixtures("_without_the_extra")
def test_the_refusal_names_the_format(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"This is {name}; send JPEG"):
        prepare(data)


@pytest.mark.parametrize(
    "data", [box(b"isom", b"avc1"), box(b"qt  "), box(b"mif1"), b"\0\0\0\x18fty"]
)
def test_films_are_not_taken_for_images(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="Not a JPEG"):
        prepare(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", heif.NAMES)
def test_a_photo_is_decoded_upright(name: str, orientation: int) -> None:
    prepared = prepare(saved(PHOTO, name, orientation))
    assert (prepared.format, prepared.width, prepared.height) == (name, 96, 64)
    expected = prepare(encoded(PHOTO)).tensor.astype(int)
    assert np.abs(prepared.tensor - expected).mean() < 3


@pytest.mark.parametrize("name", heif.NAMES)
def test_transparency_is_laid_on_white(name: str) -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert prepare(saved(clear, name)).tensor.min() >= 250


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", heif.NAMES)
def test_part_of_a_file_is_damaged(name: str, share: float) -> None:
    data = saved(PHOTO, name)
    with pytest.raises(InvalidImage):
        prepare(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", heif.NAMES)
def test_heif_takes_the_slow_lane_with_own_limits(name: str) -> None:
    data = saved(PHOTO, name)
    with pytest.raises(SlowWork), open_image(data, image_limits(), may_be_slow=False):
        pass
    memory = heif.PIXEL_BYTES * PHOTO.width * PHOTO.height
    assert prepare(data, ImageLimits(10**6, 1, memory)).format == name
    with pytest.raises(ImageTooLarge):
        prepare(data, ImageLimits(10**6, 1, memory - 1))
    with pytest.raises(ImageTooLarge):
        prepare(data, ImageLimits(PHOTO.width * PHOTO.height - 1, 1, 10**9))


@pytest.mark.parametrize(
    ("make", "imports"),
    [(lambda: plain(format="JPEG"), False), (lambda: saved(PHOTO, "HEIC"), True)],
    ids=["JPEG", "HEIC"],
)
@pytest.mark.process
def test_the_decoder_is_imported_only_if_it_is_needed(
    make: Callable[[], bytes], *, imports: bool
) -> None:
    program = (
        "import sys\n"
        "from service.core.imaging.decoding import open_image\n"
        "from service.core.imaging.image_limits import ImageLimits\n"
        "with open_image(sys.stdin.buffer.read(), ImageLimits(10**6, 1, 10**8)) as image:\n"
        "    image.file.load()\n"
        "print('pillow_heif' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], input=make(), capture_output=True, check=True
    )
    assert ran.stdout.split() == [str(imports).encode()]
