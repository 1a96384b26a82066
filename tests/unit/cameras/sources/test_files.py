"""Which files may be sources, and what an answer is by its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.cameras import CameraFailure
from service.cameras.sources.files import allowed_file, opened
from service.cameras.sources.http.images import check_image, check_is_whole
from service.cameras.sources.source import SourceFailed


def reason(path: Path, folder: Path | None) -> CameraFailure:
    with pytest.raises(SourceFailed) as failed, opened(path, folder):
        pass
    return failed.value.reason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"video")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return folder


def test_file_below_the_folder_is_opened(folder: Path) -> None:
    with opened(folder / "a.mp4", folder) as descriptor:
        assert os.read(descriptor, 10) == b"video"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "link.mp4").symlink_to("a.mp4")
    assert allowed_file(folder / "link.mp4", folder) == (folder / "a.mp4").resolve()


def test_folder_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(folder)
    assert allowed_file(tmp_path / "other/a.mp4", tmp_path / "other").is_file()


@pytest.mark.parametrize(
    "name", ["../secret.mp4", "link.mp4", "up/../../secret.mp4", "../none.mp4"]
)
def test_ways_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    (folder / "link.mp4").symlink_to("../secret.mp4")
    assert reason(folder / name, folder) is CameraFailure.ADDRESS_REFUSED


def test_files_are_off_without_a_folder(folder: Path) -> None:
    assert reason(folder / "a.mp4", None) is CameraFailure.ADDRESS_REFUSED


def test_what_is_no_file_is_unreachable(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    for name in ("none.mp4", ".", "pipe", "loop"):
        assert reason(folder / name, folder) is CameraFailure.UNREACHABLE, name
    assert reason(folder / "a.mp4", folder / "none") is CameraFailure.UNREACHABLE


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP", b"BM"]
)
def test_images_pass(data: bytes) -> None:
    check_image(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><p>Sign in", "web page"),
        (b"<HTML>", "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'{"error": 1}', "JSON"),
        (b"#EXTM3U\n", "HLS"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"\x00\x01\x02", "no image"),
    ],
)
def test_other_answers_are_named(data: bytes, said: str) -> None:
    with pytest.raises(SourceFailed, match=said) as failed:
        check_image(data)
    assert failed.value.reason is CameraFailure.NOT_AN_IMAGE


def test_jpeg_without_its_end_is_not_whole() -> None:
    check_is_whole(b"\xff\xd8\xff data \xff\xd9" + bytes(1000))
    check_is_whole(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SourceFailed) as failed:
        check_is_whole(b"\xff\xd8\xff data")
    assert failed.value.reason is CameraFailure.ENDED
