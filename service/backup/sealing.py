"""Encryption of a backup with a passphrase.

The STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, 2015) over ChaCha20-Poly1305, as in
age: chunks of 64 KiB, each with a counter and a mark of the last one in its nonce, so that chunks
cannot be changed, exchanged, repeated or cut off. scrypt derives the key. All parameters are
fixed by the format, so that no file can ask for more memory::

    magic (16 bytes) | salt (16) | prefix of nonces (7) | chunks of 65,536 bytes + tag (16)
"""

from __future__ import annotations

import io
import secrets
from typing import TYPE_CHECKING, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from service.backup.manifest import BackupRefused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAGIC = b"potoo backup 1\r\n"
SALT_BYTES, PREFIX_BYTES, TAG_BYTES = 16, 7, 16
CHUNK_BYTES = 64 * 2**10
HEADER_BYTES = len(MAGIC) + SALT_BYTES + PREFIX_BYTES
MIN_PASSPHRASE_CHARS = 12
_COST, _BLOCK, _LANES = 2**15, 8, 3  # 32 MiB; of the strength that OWASP recommends


def _cipher(passphrase: str, salt: bytes) -> ChaCha20Poly1305:
    derive = Scrypt(salt=salt, length=32, n=_COST, r=_BLOCK, p=_LANES)
    return ChaCha20Poly1305(derive.derive(passphrase.encode()))


def _nonce(prefix: bytes, number: int, *, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])


class SealedWriter(io.RawIOBase):
    """Encrypts what is written. ``finish`` writes the last chunk; without it nothing can be read.

    The stream below stays open.
    """

    def __init__(self, below: BinaryIO, passphrase: str) -> None:
        salt, self._prefix = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(PREFIX_BYTES)
        self._header = MAGIC + salt + self._prefix
        self._below, self._number, self._held = below, 0, bytearray()
        self._cipher = _cipher(passphrase, salt)
        below.write(self._header)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Encrypt bytes; up to a chunk of them is held back."""
        view = memoryview(data)
        self._held += view
        while len(self._held) > CHUNK_BYTES:
            self._seal(bytes(self._held[:CHUNK_BYTES]), is_last=False)
            del self._held[:CHUNK_BYTES]
        return len(view)

    def finish(self) -> None:
        """Write the last chunk."""
        self._seal(bytes(self._held), is_last=True)

    def _seal(self, chunk: bytes, *, is_last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, is_last=is_last)
        self._below.write(self._cipher.encrypt(nonce, chunk, self._header))
        self._number += 1


class SealedReader(io.RawIOBase):
    """Decrypts a stream; every byte that it returns is authentic.

    Raises:
        BackupRefused: the passphrase is wrong, or the file was changed or cut off.
    """

    def __init__(self, below: BinaryIO, passphrase: str) -> None:
        self._header = below.read(HEADER_BYTES)
        if len(self._header) < HEADER_BYTES or not self._header.startswith(MAGIC):
            raise BackupRefused("the file is no encrypted backup, or it was cut off")
        salt = self._header[len(MAGIC) : -PREFIX_BYTES]
        self._below, self._prefix = below, self._header[-PREFIX_BYTES:]
        self._cipher, self._number = _cipher(passphrase, salt), 0
        self._next = below.read(CHUNK_BYTES + TAG_BYTES)
        self._open = b""
        self._is_done = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Decrypt the next bytes; 0 at the authenticated end."""
        if not self._open and not self._is_done:
            self._open_next()
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._open))
        view[:count] = self._open[:count]
        self._open = self._open[count:]
        return count

    def _open_next(self) -> None:
        chunk, self._next = self._next, self._below.read(CHUNK_BYTES + TAG_BYTES)
        self._is_done = not self._next
        nonce = _nonce(self._prefix, self._number, is_last=self._is_done)
        try:
            self._open = self._cipher.decrypt(nonce, chunk, self._header)
        except InvalidTag as error:
            where = "the passphrase is wrong, or " if self._number == 0 else ""
            raise BackupRefused(f"{where}the file was changed or cut off") from error
        self._number += 1
