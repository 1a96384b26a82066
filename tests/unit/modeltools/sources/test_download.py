"""Downloads: once, resumed after interruptions, checked by digest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.modeltools.sources.download import discard, download
from service.modeltools.sources.model_sources import CannotPull, url_of
from tests.support.servers.file_server import FileServer, file_server

CONTENT = random.Random(0).randbytes(3 * 2**20)  # noqa: S311 - a sample, not a secret
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server(CONTENT) as server:
        yield server


def test_a_file_comes_whole_and_shows_its_progress(files: FileServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    url = f"{files.url}/file"
    part, digest = download(url, tmp_path, DIGEST, progress=lambda *args: told.append(args))
    assert (part.read_bytes(), digest) == (CONTENT, DIGEST)
    assert told[-1] == ("downloading, MB", 3, 3)
    assert download(url, tmp_path, DIGEST)[0] == part
    assert len(files.ranges) == 1, "what is here and right is not asked for again"
    discard(part)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_broke_off_goes_on(files: FileServer, tmp_path: Path) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    with pytest.raises(CannotPull, match="the next attempt resumes"):
        download(url, tmp_path, DIGEST)
    part, _ = download(url, tmp_path, DIGEST)
    assert part.read_bytes() == CONTENT
    assert files.ranges == [None, f"bytes={2**20}-"]


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"one"'])
def test_another_file_or_one_that_cannot_be_told_begins_anew(
    files: FileServer, tmp_path: Path, etag: str | None
) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    files.etag = etag if etag != '"two"' else '"one"'
    with pytest.raises(CannotPull):
        download(url, tmp_path, DIGEST)
    files.etag = etag
    assert download(url, tmp_path, DIGEST)[0].read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_of_it_again(files: FileServer, tmp_path: Path) -> None:
    url, files.cut_after, files.takes_ranges = f"{files.url}/file", 2**20, False
    with pytest.raises(CannotPull):
        download(url, tmp_path, DIGEST)
    assert download(url, tmp_path, DIGEST)[0].read_bytes() == CONTENT


def test_a_wrong_file_is_removed(files: FileServer, tmp_path: Path) -> None:
    files.content = CONTENT[:-1] + b"!"
    with pytest.raises(CannotPull, match=f"and not {DIGEST}; it was removed"):
        download(f"{files.url}/file", tmp_path, DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_without_a_digest_what_comes_is_told(files: FileServer, tmp_path: Path) -> None:
    assert download(f"{files.url}/file", tmp_path, None)[1] == DIGEST


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_that_is_too_large_is_cut_off(
    files: FileServer, tmp_path: Path, says_length: bool
) -> None:
    files.says_length = says_length
    with pytest.raises(CannotPull, match=r"the 2000000 (bytes )?allowed"):
        download(f"{files.url}/file", tmp_path, DIGEST, max_bytes=2_000_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2_000_000


@pytest.mark.parametrize(("says_length", "exact"), [(True, 10), (False, 10), (True, 10**7)])
def test_a_file_of_another_size_is_not_fetched(
    files: FileServer, tmp_path: Path, says_length: bool, exact: int
) -> None:
    files.says_length = says_length
    with pytest.raises(CannotPull, match=rf"the file has \d+ bytes.*, and not the {exact} that it"):
        download(f"{files.url}/file", tmp_path, DIGEST, exact_bytes=exact)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100


def test_a_file_of_the_right_size_is_taken_even_in_two_parts(
    files: FileServer, tmp_path: Path
) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    with pytest.raises(CannotPull, match="the next attempt resumes"):
        download(url, tmp_path, DIGEST, exact_bytes=len(CONTENT))
    assert download(url, tmp_path, DIGEST, exact_bytes=len(CONTENT))[1] == DIGEST


def test_a_full_disk_is_one_line_and_gets_its_room_back(
    files: FileServer, small_disk: Path
) -> None:
    with pytest.raises(CannotPull, match="is full; the partial download was removed"):
        download(f"{files.url}/file", small_disk / "downloads", DIGEST)
    assert list((small_disk / "downloads").iterdir()) == []


def test_redirects_are_followed_on_this_machine(files: FileServer, tmp_path: Path) -> None:
    assert download(f"{files.url}/to?/file", tmp_path, DIGEST)[1] == DIGEST


@pytest.mark.parametrize(
    "location", ["http://example.org/file", "ftp://127.0.0.1/file", "file:///etc/passwd", "//a.b/c"]
)
def test_redirects_to_what_is_not_https_are_refused(
    files: FileServer, tmp_path: Path, location: str
) -> None:
    with pytest.raises(CannotPull, match=r"redirects to .*, which is not https"):
        download(f"{files.url}/to?{location}", tmp_path, DIGEST)


def test_redirects_end(files: FileServer, tmp_path: Path) -> None:
    with pytest.raises(CannotPull, match="redirects more than 5 times"):
        download(f"{files.url}/loop", tmp_path, DIGEST)


def test_an_error_is_told_without_what_may_be_a_secret(files: FileServer, tmp_path: Path) -> None:
    url = files.url.replace("://", "://ada:hunter2@") + "/gone?token=hunter2"
    with pytest.raises(CannotPull, match="/gone answers 404 Not Found") as caught:
        download(url, tmp_path, DIGEST)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotPull, match="cannot be fetched") as caught:
        download("http://127.0.0.1:1/file", tmp_path, DIGEST)
    assert "\n" not in str(caught.value)


# Where from


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("https://example.org/m.onnx", "https://example.org/m.onnx"),
        ("http://127.0.0.1:8000/m.onnx", "http://127.0.0.1:8000/m.onnx"),
        ("http://[::1]/m.onnx", "http://[::1]/m.onnx"),
        ("hf://org/repo/m.onnx", "https://huggingface.co/org/repo/resolve/main/m.onnx"),
        (
            "hf://org/re.po/onnx/m x.onnx@refs/pr/1",
            "https://huggingface.co/org/re.po/resolve/refs%2Fpr%2F1/onnx/m%20x.onnx",
        ),
    ],
)
def test_sources_lead_to_urls(source: str, url: str) -> None:
    assert url_of(source, {}) == url


def test_a_mirror_of_the_hub_may_be_named() -> None:
    mirror = {"HF_ENDPOINT": "http://127.0.0.1:9/"}
    assert url_of("hf://o/r/m.onnx@v1", mirror) == "http://127.0.0.1:9/o/r/resolve/v1/m.onnx"


@pytest.mark.parametrize(
    "source",
    [
        *("http://example.org/m.onnx", "ftp://example.org/m", "file:///etc/passwd", "https://"),
        *("hf://org/m.onnx", "hf://", "hf://a/b/c@", "http://127.0.0.1.evil.org/m", "https://[/m"),
        "http://127.0.0.1@evil.org/m",
    ],
)
def test_sources_that_lead_elsewhere_are_refused(source: str) -> None:
    with pytest.raises(CannotPull):
        url_of(source, {})
