"""Sources of private keys: our folder with one file per key, or a secret of the operator.

Only the owner may read files in the folder (mode 0600). The operator protects a secret that is
mounted or in the environment; it may hold several keys, of which the first signs.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from auth.keys import Algorithm, KeySet, SigningKey, UnsafeKey, make_private, read_keys
from auth.settings import AuthSettings

SUFFIXES = {"ES256": ".pem", "RS256": ".pem", "HS256": ".secret"}


class KeyFolder:
    """The keys of a server. Every read reflects keys added and retired since the last."""

    def __init__(
        self, folder: Path, settings: AuthSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._folder, self._settings, self._clock = folder, settings, clock

    @property
    def is_given(self) -> bool:
        """Whether the operator supplies the keys, so that the folder is not used."""
        return bool(self._settings.signing_key or self._settings.signing_key_file)

    def load(self) -> KeySet:
        """Load the keys; create the first one if there is none.

        Raises:
            UnsafeKey: if others may read a file, or it holds no supported key.
            OSError: if a file cannot be read.
        """
        keys = self.read()
        if not keys:
            keys = [self.add()]
        return KeySet(keys, self._clock())

    def read(self) -> list[SigningKey]:
        """Read the existing keys, in no order.

        Raises:
            UnsafeKey, OSError: as ``load``.
        """
        if secret := self._settings.signing_key:
            return read_keys(secret.get_secret_value(), "auth.signing_key")
        if file := self._settings.signing_key_file:
            return read_keys(_given(file), f"auth.signing_key_file {file}")
        if not self._folder.is_dir():
            return []
        files = (path for path in self._folder.iterdir() if path.suffix in SUFFIXES.values())
        return [key for path in files for key in _read_ours(path)]

    def add(self) -> SigningKey:
        """Create a key of the configured algorithm; it signs after ``ACTIVATION_SECONDS``.

        Raises:
            UnsafeKey: if the operator supplies the keys.
        """
        self._require_ours()
        algorithm: Algorithm = self._settings.algorithm
        made = self._clock()
        (key,) = read_keys(make_private(algorithm), "a new key", made)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{key.kid}{SUFFIXES[algorithm]}"
        # Write atomically: another process may be reading.
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(key.private)
            stream.flush()
            os.fsync(stream.fileno())
        os.utime(part, (made, made))
        part.replace(file)
        return key

    def remove(self, key: SigningKey) -> None:
        """Retire a key; tokens that it signed become invalid.

        Raises:
            UnsafeKey: if the operator supplies the keys.
        """
        self._require_ours()
        (self._folder / f"{key.kid}{SUFFIXES[key.algorithm]}").unlink()

    def _require_ours(self) -> None:
        if self.is_given:
            message = (
                "the keys come from auth.signing_key or auth.signing_key_file: change them there"
            )
            raise UnsafeKey(message)


def _read_ours(file: Path) -> list[SigningKey]:
    status = file.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        message = f"{file} may be read by others: chmod 600 it"
        raise UnsafeKey(message)
    keys = read_keys(_text(file, str(file)), str(file), status.st_mtime)
    if len(keys) != 1 or keys[0].kid != file.stem:
        message = f"{file} does not hold the key of that name"
        raise UnsafeKey(message)
    return keys


def _given(file: Path) -> str:
    try:
        return _text(file, f"auth.signing_key_file {file}")
    except OSError as error:
        message = f"auth.signing_key_file: cannot read {file}: {error.strerror}"
        raise UnsafeKey(message) from error


def _text(file: Path, origin: str) -> str:
    try:
        return file.read_text("ascii")
    except UnicodeDecodeError:
        message = f"{origin} holds no private key in PEM"
        raise UnsafeKey(message) from None
