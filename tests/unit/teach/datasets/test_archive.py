"""Zip files of strangers."""

from __future__ import annotations

import io
import stat
import struct
import zipfile

import pytest

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.teach.datasets.importing.archive import ZipContainer
from service.teach.datasets.importing.listing import Refused
from tests.support.teach.kit import archive, photo


def opened(data: bytes, *, max_files: int = 10, max_bytes: int = 2**20) -> ZipContainer:
    return ZipContainer(io.BytesIO(data), max_files=max_files, max_bytes=max_bytes)


def with_member(info: zipfile.ZipInfo, data: bytes = b"x", mode: int | None = None) -> bytes:
    if mode is not None:
        info.create_system, info.external_attr = 3, mode << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr(info, data)
    return file.getvalue()


def refused(data: bytes) -> list[str]:
    container = opened(data)
    names = list(container.names())
    assert all(isinstance(one, Refused) for one in names)
    return [one.error.detail for one in names if isinstance(one, Refused)]


def test_members_are_read_without_unpacking() -> None:
    container = opened(archive({"a/1.png": photo(1), "a/": b"", "__MACOSX/._1.png": b"x"}))
    assert list(container.names()) == ["a/1.png"]
    assert container.has("a/1.png")
    assert container.size("a/1.png") == len(photo(1))
    assert container.read("a/1.png", 1000) == photo(1)
    with pytest.raises(PayloadTooLarge):
        container.read("a/1.png", 10)


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "C:\\x.png", "..\\x.png"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    assert "leads out" in refused(archive({name: b"x"}))[0]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [(stat.S_IFLNK | 0o777, "link"), (stat.S_IFIFO, "no file"), (stat.S_IFCHR, "no file")],
)
def test_links_and_devices_are_refused(mode: int, reason: str) -> None:
    assert reason in refused(with_member(zipfile.ZipInfo("a/1.png"), b"/etc/passwd", mode))[0]


@pytest.mark.parametrize("name", ["a/more.zip", "a/more.TAR", "x.tar.gz"])
def test_archives_within_the_archive_are_refused(name: str) -> None:
    assert "archive within" in refused(archive({name: archive({"1.png": photo(1)})}))[0]


def test_encrypted_members_and_other_methods_are_refused() -> None:
    data = bytearray(archive({"a/1.png": photo(1)}))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    assert refused(bytes(data)) == ["It is encrypted."]
    info = zipfile.ZipInfo("a/1.png")
    info.compress_type = zipfile.ZIP_LZMA
    assert "use deflate" in refused(with_member(info))[0]


def test_a_second_member_of_a_name_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("a/1.png", photo(1))
        with pytest.warns(UserWarning, match="Duplicate"):
            written.writestr("a/1.png", photo(2))
    good, bad = opened(file.getvalue()).names()
    assert good == "a/1.png"
    assert isinstance(bad, Refused)


def test_too_many_members_are_refused_before_they_are_parsed() -> None:
    data = archive({f"{number}.png": b"" for number in range(11)})
    with pytest.raises(PayloadTooLarge, match="10 files"):
        opened(data)
    # As announced: no memory is taken for names.
    end = data.rindex(b"PK\5\6")
    lying = bytearray(data)
    struct.pack_into("<L", lying, end + 12, 2**31)
    with pytest.raises(PayloadTooLarge):
        opened(bytes(lying))


def test_announced_bytes_of_all_members_are_bounded_together() -> None:
    """Members of a bomb share their bytes, so that the file is small."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as written:
        for number in range(4):
            written.writestr(f"{number}.png", b"\0" * 2**19)
    assert len(bomb.getvalue()) < 2**13
    with pytest.raises(PayloadTooLarge, match="MiB"):
        opened(bomb.getvalue())


def test_a_member_with_more_bytes_than_announced_is_refused() -> None:
    data = bytearray(archive({"a.png": b"x" * 1000}))
    at = data.index(b"PK\1\2")
    struct.pack_into("<L", data, at + 24, 10)
    container = opened(bytes(data))
    with pytest.raises(InvalidRequest, match="damaged"):
        container.read("a.png", 100)


def test_damaged_bytes_of_a_member_are_reported() -> None:
    data = bytearray(archive({"a.png": photo(1), "b.png": photo(2)}))
    data[data.index(b"\x89PNG") + 20] ^= 0xFF
    container = opened(bytes(data))
    with pytest.raises(InvalidRequest, match="damaged"):
        container.read("a.png", 1000)
    assert container.read("b.png", 1000) == photo(2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\5\6",
        photo(1),
        archive({"a": b"1"})[:-30],
        archive({"a": b"1"})[50:],
        b"PK\5\6" + b"\xff" * 18,
        b"PK\6\6" + b"\xff" * 52 + b"PK\6\7" + b"\xff" * 16 + b"PK\5\6" + b"\xff" * 18,
    ],
    # A zip file holds the time: as a part of the name it would differ between workers.
    ids=["empty", "end alone", "photo", "cut", "no start", "wild end", "wild 64-bit end"],
)
def test_what_is_no_zip_file_is_refused(data: bytes) -> None:
    with pytest.raises((InvalidRequest, PayloadTooLarge)):
        opened(data)


def test_every_cut_of_an_archive_is_refused_or_read() -> None:
    whole = archive({"a/1.png": b"1234", "b/2.png": b"5678"})
    for end in range(len(whole)):
        with pytest.raises((InvalidRequest, PayloadTooLarge)):
            opened(whole[:end])
