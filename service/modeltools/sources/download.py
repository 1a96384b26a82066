"""Downloads one large file: resumable, limited in size, verified by digest.

On top of httpx: a digest that is checked before the file is opened, redirects only to https, a size
limit, and resumption by ``Range`` (RFC 9110, section 14).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from service.core.repository.atomic_files import locked
from service.core.repository.publishing import DISK_FULL
from service.modeltools.sources.model_sources import LOOPBACK, CannotPull

MAX_BYTES = 2 * 2**30
MAX_REDIRECTS = 5
_BLOCK = 2**20
_TIMEOUT = httpx.Timeout(30)
Progress = Callable[[str, int, int], None]


def download(
    url: str,
    folder: Path,
    sha256: str | None,
    *,
    max_bytes: int = MAX_BYTES,
    exact_bytes: int | None = None,
    progress: Progress = lambda *_: None,
    transport: httpx.BaseTransport | None = None,
) -> tuple[Path, str]:
    """Download ``url``; return the file and its digest. Blocks for as long as the network takes.

    Args:
        url: https, or http on this machine.
        folder: keeps the partial file under a name derived from the URL, also after a failure, so
            that the next try resumes; a file that has the digest ``sha256`` is not requested again.
        sha256: the required digest; None accepts any.
        exact_bytes: the required size, checked before the download.

    Raises:
        CannotPull: no answer, a wrong or excessive size, a redirect that is not allowed, a full
            disk, or a wrong digest, after which the file is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{url} {sha256 or ''}".encode()).hexdigest()[:32]
    part, note = folder / f"{name}.part", folder / f"{name}.etag"
    with locked(folder):
        if sha256 is None or not part.exists() or _digest(part) != sha256:
            try:
                with httpx.Client(timeout=_TIMEOUT, transport=transport) as client:
                    _fetch(client, url, part, note, _Size(max_bytes, exact_bytes), progress)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                discard(part)  # a server may need the space
                message = f"the disk of {folder} is full; the partial download was removed"
                raise CannotPull(message) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
                message = f"{_shown(url)} cannot be fetched: {reason}; the next attempt resumes"
                raise CannotPull(message) from error
        found = _digest(part)
        if sha256 is not None and found != sha256:
            discard(part)
            message = f"{_shown(url)} has the digest {found}, and not {sha256}; it was removed"
            raise CannotPull(message)
        return part, found


@dataclass(frozen=True, slots=True)
class _Size:
    """Limits on the size of a file in bytes; ``exactly``: None if unknown."""

    most: int
    exactly: int | None

    def check(self, size: int, *, is_whole: bool) -> None:
        """Raise CannotPull if the file, or its part so far, may not have ``size`` bytes."""
        more = "" if is_whole else " or more"
        wanted = self.exactly
        if wanted is not None and (size > wanted or (is_whole and size < wanted)):
            message = f"the file has {size} bytes{more}, and not the {wanted} that it must have"
            raise CannotPull(message)
        if size > self.most:
            message = f"the file has {size} bytes{more}, more than the {self.most} allowed"
            raise CannotPull(message)


def discard(part: Path) -> None:
    """Remove a download and its ETag."""
    part.unlink(missing_ok=True)
    part.with_suffix(".etag").unlink(missing_ok=True)


def _fetch(
    client: httpx.Client, url: str, part: Path, note: Path, size: _Size, progress: Progress
) -> None:
    # Offsets count the stored bytes, so no content encoding.
    headers = {"accept-encoding": "identity"}
    have = part.stat().st_size if part.exists() else 0
    etag = note.read_text() if note.exists() else ""
    if have and etag:
        headers |= {"range": f"bytes={have}-", "if-range": etag}
    for _ in range(MAX_REDIRECTS + 1):
        with client.stream("GET", url, headers=headers) as answer:
            if answer.has_redirect_location:
                url = _redirected(url, answer.headers["location"])
                continue
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # the file is complete; the digest decides whether it is right
            if answer.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
                message = f"{_shown(url)} answers {answer.status_code} {answer.reason_phrase}"
                raise CannotPull(message)
            begin = _begin(answer, have)
            _take(answer, part, note, begin, size, progress)
            return
    raise CannotPull(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")


def _begin(answer: httpx.Response, have: int) -> int:
    """Return the offset of the answer's first byte."""
    if answer.status_code == httpx.codes.OK:
        return 0
    found = re.match(r"bytes ([0-9]{1,18})-", answer.headers.get("content-range", ""))
    if found is None or int(found[1]) != have:
        raise CannotPull("the server returned another byte range than requested")
    return have


def _take(
    answer: httpx.Response, part: Path, note: Path, begin: int, size: _Size, progress: Progress
) -> None:
    length = answer.headers.get("content-length", "")
    total = begin + int(length) if length.isdecimal() and len(length) < 19 else 0
    if total:
        size.check(total, is_whole=True)
    etag = answer.headers.get("etag", "")
    # A weak ETag does not allow resumption (RFC 9110, section 13.1.5).
    if begin == 0:
        note.write_text("" if etag.startswith("W/") else etag)
    done = begin
    with part.open("r+b" if begin else "wb") as file:
        file.seek(begin)
        file.truncate()
        for block in answer.iter_raw(_BLOCK):
            done += len(block)
            size.check(done, is_whole=False)
            file.write(block)
            progress("downloading, MB", done // 10**6, total // 10**6)


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    parts, came_from = urlsplit(target), urlsplit(url)
    stays_here = parts.hostname in LOOPBACK and came_from.hostname in LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and stays_here):
        message = f"{_shown(url)} redirects to {_shown(target)}, which is not https"
        raise CannotPull(message)
    return target


def _shown(url: str) -> str:
    """Strip possible secrets from a URL: credentials and the query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
