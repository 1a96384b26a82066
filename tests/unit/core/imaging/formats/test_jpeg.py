"""JPEG: metadata never spoils pixels; codings that libjpeg lacks are unsupported, not damaged."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import InvalidImage, UnsupportedImage
from service.core.imaging.formats import jpeg as jpeg_format
from service.core.imaging.formats.source import MAX_STEPS
from service.core.imaging.preprocessing import PreparedImage, Preprocessor
from tests.support.models.pictures import blobs, encoded, oriented
from tests.support.models.tiny_model import image_limits, input_spec

PHOTO = blobs((96, 64))
CLEAN = encoded(PHOTO, "JPEG", quality=90)
XMP_TURN = (
    b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://"
    b"www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/"
    b'1.0/\' tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def prepare(data: bytes) -> PreparedImage:
    return Preprocessor(input_spec(), image_limits())(data)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content


def behind_start(*segments: bytes) -> bytes:
    return CLEAN[:2] + b"".join(segments) + CLEAN[2:]


METADATA: dict[str, bytes] = {
    "a truncated resource of Photoshop": segment(0xED, b"Photoshop 3.0\08BIM\x07\xdb"),
    "a truncated resolution": segment(0xED, b"Photoshop 3.0\08BIM\x03\xed\0\0\0\0\0\4abcd"),
    "only JFIF": segment(0xE0, b"JFIF\0"),
    "an empty APP0": segment(0xE0, b""),
    "only Adobe": segment(0xEE, b"Adobe"),
    "a profile without part numbers": segment(0xE2, b"ICC_PROFILE\0"),
    "a missing second picture": segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "FlashPix": segment(0xE2, b"FPXR\0"),
    "EXIF without a header": segment(0xE1, b"Exif\0\0"),
    "EXIF that ends early": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    "XMP with an orientation": segment(0xE1, XMP_TURN),
    "an empty comment": segment(0xFE, b""),
    "100,000 comments": segment(0xFE, b"") * 100_000,
    "5 MB of profiles": segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)) * 80,
    "fill bytes": b"\xff" * 1000,
    "junk": segment(0xFE, b"") + bytes(200_000),
    "a megabyte of fill bytes that end in a stuffed zero": b"\xff" * 10**6 + b"\0",
    "restarts": b"\xff\xd0\xff\xd7",
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_metadata_does_not_spoil_good_pixels(metadata: bytes) -> None:
    prepared = prepare(behind_start(metadata))
    assert (prepared.width, prepared.height) == PHOTO.size
    assert np.array_equal(prepared.tensor, prepare(CLEAN).tensor)


def test_exif_beside_xmp_decides_which_way_is_up() -> None:
    turned = oriented(PHOTO, 3, "JPEG", quality=90)
    prepared = prepare(turned[:2] + segment(0xE1, XMP_TURN) + turned[2:])
    assert np.array_equal(prepared.tensor, prepare(turned).tensor)


def test_a_plain_file_is_not_even_copied() -> None:
    assert jpeg_format.prepare(CLEAN).data is CLEAN


def test_a_parser_gets_nothing_that_pixels_do_not_need() -> None:
    assert jpeg_format.prepare(behind_start(*METADATA.values())).data == CLEAN


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_how_colours_are_coded_is_still_known(mode: str) -> None:
    """Without Adobe's segment, decoders guess whether CMYK is inverted, and read RGB as YCbCr."""
    options: dict[str, object] = {"keep_rgb": True} if mode == "RGB" else {}
    data = encoded(PHOTO.convert(mode), "JPEG", quality=95, **options)
    noisy = data[:2] + METADATA["a truncated resource of Photoshop"] + data[2:]
    assert np.array_equal(prepare(noisy).tensor, prepare(data).tensor)
    expected = prepare(encoded(PHOTO.convert(mode).convert("RGB"))).tensor.astype(int)
    assert np.abs(prepare(noisy).tensor - expected).mean() < 4


def test_a_file_of_a_million_segments_is_refused() -> None:
    with pytest.raises(InvalidImage, match="too many segments"):
        prepare(behind_start(segment(0xFE, b"") * MAX_STEPS))


def test_a_megabyte_of_tables_is_refused() -> None:
    table = segment(0xDB, b"\0" + b"\1" * 64)
    assert prepare(behind_start(table * 100)).format == "JPEG"
    with pytest.raises(InvalidImage, match="too many tables"):
        prepare(behind_start(table * 10_000))


def with_frame(marker: int = 0xC0, bits: int = 8, components: int = 3) -> bytes:
    """The photo with another frame header."""
    at = CLEAN.index(b"\xff\xc0")
    content = bytes((bits,)) + CLEAN[at + 5 : at + 9] + bytes((components,))
    content += b"".join(bytes((number, 0x11, 0)) for number in range(components))
    return CLEAN[:at] + segment(marker, content) + CLEAN[at + 19 :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_frame(bits=12), id="12 bits"),
        pytest.param(with_frame(bits=16), id="16 bits"),
        pytest.param(with_frame(components=2), id="2 components"),
        pytest.param(with_frame(components=5), id="5 components"),
        pytest.param(with_frame(0xC5), id="hierarchical"),
        pytest.param(with_frame(0xCB), id="lossless and arithmetic"),
        pytest.param(with_frame(0xF7), id="JPEG-LS"),
    ],
)
def test_a_coding_that_is_not_decoded_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="JPEG"):
        prepare(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CLEAN[:2] + b"\xff\xfe\0\0" + CLEAN[2:], id="a segment without its length"),
        pytest.param(CLEAN[:100], id="no scan"),
        pytest.param(CLEAN[:2] + b"\xff\xd9" + CLEAN[2:], id="an end before the scan"),
        pytest.param(CLEAN[:2] + segment(0xC0, b"\x08\0") + CLEAN[2:], id="a frame without a size"),
    ],
)
def test_damaged_segments_are_damaged(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        prepare(data)
