"""The archive of a backup: a tar, plain or encrypted, whose first member is the manifest.

It is written beside its place and renamed when it is complete. It is read as a stream: the names,
kinds, sizes and digests of members must be those of the manifest, in its order, so that nothing
else of the format (links, devices, permissions, paths) has an effect.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, BinaryIO, cast

from service.backup.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    BackupRefused,
    Manifest,
    Member,
    parse_manifest,
)
from service.backup.sealing import MAGIC, SealedReader, SealedWriter
from service.core.repository.atomic_files import sync

_PIECE = 2**20
_TAR_MAGIC_AT = 257


def digest_file(name: str, file: Path) -> Member:
    """Read a file, and return the entry of a manifest for it."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256")
        modified = os.fstat(stream.fileno()).st_mtime
        return Member(name=name, size=stream.tell(), sha256=found.hexdigest(), modified=modified)


def write_archive(
    target: Path, manifest: Manifest, files: Mapping[str, Path], passphrase: str | None
) -> None:
    """Write a backup of mode 0600, all of it or nothing.

    Args:
        files: where each member of the manifest is read.
        passphrase: None: not encrypted.

    Raises:
        BackupRefused: a file changed since its digest was taken.
        OSError: the archive cannot be written.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            sealed = SealedWriter(stream, passphrase) if passphrase else None
            below = cast("IO[bytes]", sealed) if sealed else stream
            with tarfile.open(mode="w|", fileobj=below, format=tarfile.PAX_FORMAT) as tar:
                _add_all(tar, manifest, files)
            if sealed:
                sealed.finish()
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
        sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _add_all(tar: tarfile.TarFile, manifest: Manifest, files: Mapping[str, Path]) -> None:
    text = manifest.model_dump_json(indent=1).encode()
    _add(tar, MANIFEST_FILE, len(text), io.BytesIO(text), manifest)
    for member in manifest.members:
        with files[member.name].open("rb") as stream:
            watched = _Digesting(stream)
            try:
                _add(tar, member.name, member.size, watched, manifest)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise BackupRefused(f"{files[member.name]} changed meanwhile") from error
            if watched.digest.hexdigest() != member.sha256 or stream.read(1):
                raise BackupRefused(f"{files[member.name]} changed meanwhile: try again")


def _add(
    tar: tarfile.TarFile, name: str, size: int, stream: IO[bytes] | _Digesting, of: Manifest
) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(of.made.timestamp())
    tar.addfile(info, cast("IO[bytes]", stream))


class _Digesting:
    def __init__(self, stream: BinaryIO) -> None:
        self.digest, self._stream = hashlib.sha256(), stream

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def is_encrypted(file: Path) -> bool:
    """Return whether a backup is encrypted.

    Raises:
        BackupRefused: the file is no backup.
    """
    with file.open("rb") as stream:
        head = stream.read(_TAR_MAGIC_AT + 5)
    if head.startswith(MAGIC):
        return True
    if head[_TAR_MAGIC_AT:] != b"ustar":
        raise BackupRefused(f"{file} is no backup of Potoo, or it was cut off")
    return False


def read_manifest(file: Path, passphrase: str | None, head: str) -> Manifest:
    """Read the manifest alone; the other members are not checked."""
    with _members(file, passphrase) as members:
        return _manifest(members, head)


def read_archive(
    file: Path,
    passphrase: str | None,
    head: str,
    place: Callable[[Member], Path | None] = lambda _: None,
) -> Manifest:
    """Read a backup to its end, and check everything.

    Args:
        head: the newest migration that this program knows.
        place: where a member is written, with mode 0600, in a new file; None: it is only checked.

    Raises:
        BackupRefused: it is damaged, not complete, encrypted with another passphrase, or made by a
            later version. Files that were written may be incomplete.
    """
    with _members(file, passphrase) as members:
        manifest = _manifest(members, head)
        for member in manifest.members:
            info, stream = next(members, (None, None))
            if info is None:
                raise BackupRefused(f"{member.name} is missing: the file was cut off")
            if info.name != member.name:
                raise BackupRefused(f"'{info.name}' is where {member.name} should be")
            is_plain = info.type in {tarfile.REGTYPE, tarfile.AREGTYPE}
            if stream is None or not is_plain or info.size != member.size:
                raise BackupRefused(f"{member.name}: its kind or size is not that of the manifest")
            _copy(stream, member, place(member))
        if (more := next(members, None)) is not None:
            raise BackupRefused(f"'{more[0].name}' is not in the manifest")
    return manifest


def _manifest(members: Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]], head: str) -> Manifest:
    info, stream = next(members, (None, None))
    if info is None or stream is None or info.name != MANIFEST_FILE:
        raise BackupRefused(f"its first member is not {MANIFEST_FILE}")
    if info.size > MAX_MANIFEST_BYTES:
        raise BackupRefused(f"{MANIFEST_FILE} is too large")
    return parse_manifest(stream.read(), head)


def _copy(stream: IO[bytes], member: Member, target: Path | None) -> None:
    digest = hashlib.sha256()
    with _created(target) if target else nullcontext(None) as out:
        while data := stream.read(_PIECE):
            digest.update(data)
            if out:
                out.write(data)
        if out:
            out.flush()
            os.fsync(out.fileno())
            os.utime(out.fileno(), (member.modified, member.modified))
    if digest.hexdigest() != member.sha256:
        raise BackupRefused(f"{member.name} is damaged: its digest is not that of the manifest")


def _created(file: Path) -> BinaryIO:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


@contextmanager
def _members(
    file: Path, passphrase: str | None
) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]]:
    if is_encrypted(file) and passphrase is None:
        raise BackupRefused(f"{file} is encrypted: give its passphrase (--passphrase-file)")
    with file.open("rb") as raw:
        stream: io.RawIOBase | BinaryIO = raw
        if is_encrypted(file):
            stream = SealedReader(raw, passphrase or "")
        below = cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", stream), _PIECE))
        try:
            with tarfile.open(mode="r|", fileobj=below) as tar:
                yield ((info, tar.extractfile(info) if info.isreg() else None) for info in tar)
            while below.read(_PIECE):  # to the authenticated end
                pass
        except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
            raise BackupRefused(f"{file} is damaged or was cut off: {error}") from error
