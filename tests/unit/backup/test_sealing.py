"""Encryption of backups: every change of the file is detected."""

from __future__ import annotations

import io

import pytest

from service.backup.manifest import BackupRefused
from service.backup.sealing import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, SealedReader, SealedWriter

PASSPHRASE = "correct horse battery"
BLOCK = CHUNK_BYTES + TAG_BYTES


def sealed(content: bytes) -> bytes:
    below = io.BytesIO()
    writer = SealedWriter(below, PASSPHRASE)
    writer.write(content)
    writer.finish()
    return below.getvalue()


def opened(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return io.BufferedReader(SealedReader(io.BytesIO(data), passphrase)).read()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_content_comes_back_whatever_its_length(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(content[:size])) == content[:size]


def test_equal_contents_are_sealed_differently() -> None:
    assert sealed(b"content") != sealed(b"content")


def test_another_passphrase_is_refused() -> None:
    with pytest.raises(BackupRefused, match="passphrase is wrong"):
        opened(sealed(b"content"), "wrong horse battery")


THREE = sealed(b"a" * (2 * CHUNK_BYTES + 5))
FIRST, SECOND = THREE[HEADER_BYTES:][:BLOCK], THREE[HEADER_BYTES + BLOCK :][:BLOCK]
LAST = THREE[HEADER_BYTES + 2 * BLOCK :]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(THREE[: HEADER_BYTES - 1], id="header cut off"),
        pytest.param(THREE[:HEADER_BYTES], id="nothing follows"),
        pytest.param(THREE[: HEADER_BYTES + BLOCK], id="cut between chunks"),
        pytest.param(THREE[:-1], id="cut in a chunk"),
        pytest.param(THREE[:HEADER_BYTES] + SECOND + FIRST + LAST, id="chunks exchanged"),
        pytest.param(THREE[:HEADER_BYTES] + FIRST + FIRST + SECOND + LAST, id="chunk repeated"),
        pytest.param(THREE[:HEADER_BYTES] + FIRST + LAST, id="chunk left out"),
        pytest.param(THREE + b"x", id="bytes appended"),
        pytest.param(THREE[:20] + bytes([THREE[20] ^ 1]) + THREE[21:], id="salt changed"),
        pytest.param(THREE[:-1] + bytes([THREE[-1] ^ 1]), id="bit changed"),
    ],
)
def test_changed_file_is_refused(changed: bytes) -> None:
    with pytest.raises(BackupRefused, match="cut off"):
        opened(changed)
