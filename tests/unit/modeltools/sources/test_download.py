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


def test_file_is_downloaded_once_with_progress(files: FileServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    url = f"{files.url}/file"
    part, digest = download(url, tmp_path, DIGEST, progress=lambda *args: told.append(args))
    assert (part.read_bytes(), digest) == (CONTENT, DIGEST)
    assert told[-1] == ("downloading, MB", 3, 3)
    assert download(url, tmp_path, DIGEST)[0] == part
    assert len(files.ranges) == 1, "what is here and right is not asked for again"
    discard(part)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_download_is_resumed(files: FileServer, tmp_path: Path) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    with pytest.raises(CannotPull, match="the next attempt resumes"):
        download(url, tmp_path, DIGEST)
    part, _ = download(url, tmp_path, DIGEST)
    assert part.read_bytes() == CONTENT
    assert files.ranges == [None, f"bytes={2**20}-"]
    assert files.begins == [0, 2**20]


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"one"'])
def test_changed_or_unidentifiable_file_is_downloaded_from_the_start(
    files: FileServer, tmp_path: Path, etag: str | None
) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    files.etag = etag if etag != '"two"' else '"one"'
    with pytest.raises(CannotPull):
        download(url, tmp_path, DIGEST)
    files.etag = etag
    assert download(url, tmp_path, DIGEST)[0].read_bytes() == CONTENT
    assert files.ranges == [None, f"bytes={2**20}-" if etag == '"two"' else None]
    assert files.begins == [0, 0]


def test_server_without_ranges_sends_the_whole_file_again(
    files: FileServer, tmp_path: Path
) -> None:
    url, files.cut_after, files.takes_ranges = f"{files.url}/file", 2**20, False
    with pytest.raises(CannotPull):
        download(url, tmp_path, DIGEST)
    assert download(url, tmp_path, DIGEST)[0].read_bytes() == CONTENT
    assert files.ranges == [None, f"bytes={2**20}-"]
    assert files.begins == [0, 0]


def test_file_with_a_wrong_digest_is_removed(files: FileServer, tmp_path: Path) -> None:
    files.content = CONTENT[:-1] + b"!"
    with pytest.raises(CannotPull, match=f"and not {DIGEST}; it was removed"):
        download(f"{files.url}/file", tmp_path, DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_download_without_a_digest_returns_the_digest(files: FileServer, tmp_path: Path) -> None:
    assert download(f"{files.url}/file", tmp_path, None)[1] == DIGEST


@pytest.mark.parametrize("says_length", [True, False])
def test_oversized_file_is_aborted(files: FileServer, tmp_path: Path, says_length: bool) -> None:
    files.says_length = says_length
    with pytest.raises(CannotPull, match=r"the 2000000 (bytes )?allowed"):
        download(f"{files.url}/file", tmp_path, DIGEST, max_bytes=2_000_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2_000_000


@pytest.mark.parametrize(("says_length", "exact"), [(True, 10), (False, 10), (True, 10**7)])
def test_file_of_unexpected_size_is_not_fetched(
    files: FileServer, tmp_path: Path, says_length: bool, exact: int
) -> None:
    taken: list[tuple[str, int, int]] = []
    files.says_length = says_length
    with pytest.raises(CannotPull, match=rf"the file has \d+ bytes.*, and not the {exact} that it"):
        download(
            *(f"{files.url}/file", tmp_path, DIGEST),
            exact_bytes=exact,
            progress=lambda *block: taken.append(block),
        )
    assert taken == []
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100
    assert not says_length or not list(tmp_path.glob("*.part")), "the body was read"


def test_resumed_file_of_the_expected_size_is_accepted(files: FileServer, tmp_path: Path) -> None:
    url, files.cut_after = f"{files.url}/file", 2**20
    with pytest.raises(CannotPull, match="the next attempt resumes"):
        download(url, tmp_path, DIGEST, exact_bytes=len(CONTENT))
    assert download(url, tmp_path, DIGEST, exact_bytes=len(CONTENT))[1] == DIGEST


def test_full_disk_is_reported_and_partial_file_removed(
    files: FileServer, small_disk: Path
) -> None:
    with pytest.raises(CannotPull, match="is full; the partial download was removed"):
        download(f"{files.url}/file", small_disk / "downloads", DIGEST)
    assert list((small_disk / "downloads").iterdir()) == []


def test_local_redirect_is_followed(files: FileServer, tmp_path: Path) -> None:
    assert download(f"{files.url}/to?/file", tmp_path, DIGEST)[1] == DIGEST


@pytest.mark.parametrize(
    "location", ["http://example.org/file", "ftp://127.0.0.1/file", "file:///etc/passwd", "//a.b/c"]
)
def test_redirect_to_anything_but_https_is_refused(
    files: FileServer, tmp_path: Path, location: str
) -> None:
    with pytest.raises(CannotPull, match=r"redirects to .*, which is not https"):
        download(f"{files.url}/to?{location}", tmp_path, DIGEST)


def test_redirect_loop_is_refused(files: FileServer, tmp_path: Path) -> None:
    with pytest.raises(CannotPull, match="redirects more than 5 times"):
        download(f"{files.url}/loop", tmp_path, DIGEST)


def test_error_message_contains_no_credentials(files: FileServer, tmp_path: Path) -> None:
    url = files.url.replace("://", "://ada:hunter2@") + "/gone?token=hunter2"
    with pytest.raises(CannotPull, match="/gone answers 404 Not Found") as caught:
        download(url, tmp_path, DIGEST)
    assert "hunter2" not in str(caught.value)


def test_unreachable_server_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotPull, match="cannot be fetched") as caught:
        download("http://127.0.0.1:1/file", tmp_path, DIGEST)
    assert "\n" not in str(caught.value)


# Sources


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
def test_sources_resolve_to_urls(source: str, url: str) -> None:
    assert url_of(source, {}) == url


def test_hub_mirror_from_the_environment_is_used() -> None:
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
def test_unsafe_sources_are_refused(source: str) -> None:
    with pytest.raises(CannotPull):
        url_of(source, {})
