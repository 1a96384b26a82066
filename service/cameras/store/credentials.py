"""Credentials of cameras: encrypted in the store, with a key outside of it.

The key is a file in the data folder that only its owner may read, or the setting
``cameras.credentials_key`` where replicas share a store.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson
from pydantic import SecretStr

from schemas.operator_error import OperatorError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

MAX_SECRET_BYTES = 4096


class CredentialsUnreadable(OperatorError):
    """Credentials cannot be read. Callers see the message: it holds no secret and no path."""


class Login(NamedTuple):
    """User and password of a camera."""

    username: str
    password: str

    def __repr__(self) -> str:
        """Hide the password."""
        return f"Login({self.username!r}, ...)"


class CredentialBox:
    """Encrypts and decrypts logins (Fernet: AES-128-CBC with HMAC-SHA-256)."""

    def __init__(self, file: Path, key: SecretStr | None = None) -> None:
        """``file``: of the key, made at the first use; ``key``: instead of it, in base64."""
        self._file, self._key = file, key
        self._fernet: Fernet | None = None

    def seal(self, login: Login) -> str:
        """Encrypt a login.

        Raises:
            CredentialsUnreadable: the key is not usable.
        """
        return self._open().encrypt(orjson.dumps(list(login))).decode("ascii")

    def unseal(self, sealed: str) -> Login:
        """Decrypt a login.

        Raises:
            CredentialsUnreadable: the key is not usable, or another one.
        """
        from cryptography.fernet import InvalidToken

        try:
            return Login(*orjson.loads(self._open().decrypt(sealed)))
        except InvalidToken:
            message = "the credentials were encrypted with another key: enter them again"
            raise CredentialsUnreadable(message) from None

    def _open(self) -> Fernet:
        if self._fernet is None:
            from cryptography.fernet import Fernet

            try:
                key = self._key.get_secret_value().encode() if self._key else self._key_of_file()
                self._fernet = Fernet(key)
            except ValueError:
                origin = "cameras.credentials_key" if self._key else self._file.name
                message = f"{origin} is no key: it has 32 bytes in URL-safe base64"
                raise CredentialsUnreadable(message) from None
            except OSError as error:
                message = f"cannot read {self._file.name}: {error.strerror}"
                raise CredentialsUnreadable(message) from error
        return self._fernet

    def _key_of_file(self) -> bytes:
        with suppress(FileNotFoundError):
            return _read_private(self._file)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._file.with_name(f".{self._file.name}.{secrets.token_hex(8)}.part")
        from cryptography.fernet import Fernet

        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(Fernet.generate_key())
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):  # another process was first
                os.link(part, self._file)
        finally:
            part.unlink()
        return _read_private(self._file)


def _read_private(file: Path) -> bytes:
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        message = f"{file.name} in the data folder may be read by others: chmod 600 it"
        raise CredentialsUnreadable(message)
    return file.read_bytes().strip()


def read_secret(folder: Path | None, name: str) -> Login:
    """Read ``user:password`` from a file of the setting ``cameras.secrets_dir``.

    Args:
        name: as the pattern of ``CameraSpec.secret`` allows, so without a path.

    Raises:
        CredentialsUnreadable: there is no such file, or it leads out of the folder.
    """
    if folder is None:
        message = "the setting cameras.secrets_dir is not set"
        raise CredentialsUnreadable(message)
    try:
        file, root = (folder / name).resolve(strict=True), folder.resolve()
        # Mounted secrets are links, to a folder beside them.
        if not file.is_relative_to(root) or not file.is_file():
            raise FileNotFoundError
        with file.open("rb") as stream:
            text = stream.read(MAX_SECRET_BYTES).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError):
        message = f"there is no readable file {name} in the folder of cameras.secrets_dir"
        raise CredentialsUnreadable(message) from None
    username, _, password = text.partition(":")
    return Login(username, password)
