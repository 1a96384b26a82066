"""What photos say by themselves: time, size, groups; and small copies of them."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime

import pytest
from PIL import Image

from schemas.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from schemas.teach.dataset import PhotoSource, check_classes, class_key, class_name
from service.core.engine.pool import SlowWork
from service.core.imaging.image_limits import ImageLimits
from service.teach.datasets.photos.exif import capture_time
from service.teach.datasets.photos.grouping import group_photos
from service.teach.datasets.photos.inspecting import HASH_SIDE, inspect
from service.teach.datasets.photos.pictures import preview
from service.teach.datasets.photos.types import extension_of, media_type_of
from service.teach.datasets.records import PhotoIds, StoredPhoto
from tests.support.models.pictures import encoded, gradient, noise, oriented, plain

LIMITS = ImageLimits(max_pixels=10**6, max_frames=10, max_decode_bytes=2**26)
NOON = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC).timestamp()


def exif(**tags: str) -> bytes:
    numbers = {"original": 0x9003, "digitised": 0x9004, "zone": 0x9011, "fraction": 0x9291}
    made = Image.Exif()
    inner = made.get_ifd(0x8769)
    for name, text in tags.items():
        if name == "changed":
            made[0x0132] = text
        else:
            inner[numbers[name]] = text
    return made.tobytes()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"original": "2026:11:30 12:00:00"}, NOON),
        ({"original": "2026:11:30 12:00:00", "zone": "+02:00"}, NOON - 7200),
        ({"original": "2026:11:30 12:00:00", "zone": "-00:30"}, NOON + 1800),
        ({"original": "2026:11:30 12:00:00", "fraction": "25"}, NOON + 0.25),
        ({"digitised": "2026:11:30 12:00:00"}, NOON),
        ({"changed": "2026:11:30 12:00:00"}, NOON),
        ({"original": "2026:11:30 12:00:00", "changed": "2027:01:01 00:00:00"}, NOON),
        ({"original": "0000:00:00 00:00:00"}, None),
        ({"original": "2026:13:30 12:00:00"}, None),
        ({"original": "yesterday"}, None),
        ({"original": "2026:11:30 12:00:00", "zone": "+99:99"}, None),
        ({}, None),
    ],
)
def test_capture_times(tags: dict[str, str], expected: float | None) -> None:
    assert capture_time(exif(**tags)) == expected


def test_damaged_exif_has_no_time() -> None:
    whole = exif(original="2026:11:30 12:00:00")
    for end in range(len(whole)):
        assert capture_time(whole[:end]) in {None, NOON}
    loop = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8)
    assert capture_time(loop) is None
    many = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65_535)
    assert capture_time(many) is None


def test_a_photo_says_its_size_and_time_as_seen_upright() -> None:
    seen = inspect(oriented(gradient((30, 20)), 6, "JPEG"), LIMITS)
    assert (seen.width, seen.height, seen.captured, seen.hash64) == (30, 20, None, None)
    timed = encoded(gradient((30, 20)), "JPEG", exif=exif(original="2026:11:30 12:00:00"))
    assert inspect(timed, LIMITS).captured == NOON
    assert inspect(timed, LIMITS).digest != seen.digest


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_hash_sees_the_photo_upright(orientation: int) -> None:
    def corners(grey: Image.Image) -> int:
        assert (grey.mode, grey.size) == ("L", (HASH_SIDE, HASH_SIDE))
        pixels = grey.tobytes()
        return pixels[0] << 8 | pixels[HASH_SIDE - 1]

    upright = Image.new("L", (64, 48), 0)
    upright.paste(200, (32, 0, 64, 24))
    data = oriented(upright.convert("RGB"), orientation, "PNG")
    assert inspect(data, LIMITS, corners).hash64 == 200


def test_what_cannot_be_decoded_whole_is_refused() -> None:
    good = encoded(noise((300, 200)), "JPEG")
    with pytest.raises(InvalidImage):
        inspect(good[: len(good) // 2], LIMITS)
    assert inspect(good[:-20], LIMITS).width == 300, "less than a hundredth is missing"
    with pytest.raises(InvalidImage):
        inspect(encoded(noise((300, 200)))[:-2000], LIMITS)
    with pytest.raises(UnsupportedImage):
        inspect(b"a text called photo.jpg", LIMITS)
    with pytest.raises(ImageTooLarge):
        inspect(plain(size=(2000, 2000)), LIMITS)
    large = ImageLimits(10**8, 10, 2**30)
    with pytest.raises(SlowWork):
        inspect(plain(size=(5000, 4000)), large, may_be_slow=False)


def test_a_preview_is_small_and_upright() -> None:
    small = Image.open(io.BytesIO(preview(oriented(gradient((300, 200)), 8, "JPEG"), LIMITS, 60)))
    assert (small.format, small.size) == ("JPEG", (60, 40))
    assert not small.getexif()
    same = Image.open(io.BytesIO(preview(plain(size=(30, 20)), LIMITS, 60)))
    assert same.size == (30, 20)


def test_types_by_content() -> None:
    kinds = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp"}
    for name, extension in kinds.items():
        data = encoded(gradient((8, 8)), name)
        assert extension_of(data[:12]) == extension
        assert media_type_of(data[:12]).startswith("image/")
    assert media_type_of(b"<svg>") == "application/octet-stream"


def made(
    number: int,
    captured: float | None = None,
    group: str | None = None,
    source: PhotoSource = PhotoSource.UPLOAD,
) -> StoredPhoto:
    return StoredPhoto(
        id=f"{number:020x}",
        dataset="bins",
        digest=f"{number:064x}",
        hash64=None,
        width=1,
        height=1,
        bytes=1,
        added=0.0,
        added_by="anna",
        source=source,
        captured=captured,
        group=group,
    )


def test_bursts_are_groups_of_bounded_length() -> None:
    photos = [made(number, 100.0 + 4 * number) for number in range(7)]
    assert group_photos(photos) == [0, 0, 0, 1, 1, 1, 2]
    assert group_photos(photos[::-1]) == [0, 1, 1, 1, 2, 2, 2]


def test_given_groups_go_before_bursts() -> None:
    photos = [
        made(1, 100.0, "a"),
        made(2, 101.0),
        made(3, 500.0, "a"),
        made(4, 101.5),
        made(5),
        made(6),
        made(7, 101.7, source=PhotoSource.CAMERA),
        made(8, group="photo 5"),
    ]
    assert group_photos(photos) == [0, 1, 0, 1, 2, 3, 4, 5]
    assert group_photos([]) == []


def test_ids_sort_by_time_also_if_the_clock_goes_back() -> None:
    times = iter([5.0, 5.0, 4.0, 6.0])
    new_id = PhotoIds(lambda: next(times))
    ids = [new_id() for _ in range(4)]
    assert ids == sorted(ids)
    assert all(len(one) == 20 for one in ids)


def test_class_names_have_one_form() -> None:
    assert class_name("  green \t glass ") == "green glass"
    assert class_name("e\u0301tat") == "\u00e9tat"
    assert class_key("Green Glass") == class_key("green  glass") == class_key("GREENGLASS")
    assert class_key("Stra\u00dfe") == class_key("STRASSE")
    for name in ("", " ", "a\x00b", "\u202etxt", "x" * 101):
        with pytest.raises(ValueError, match="class name"):
            class_name(name)
    with pytest.raises(ValueError, match="'glass' and 'Glass'"):
        check_classes(["glass", "paper", "Glass"])
