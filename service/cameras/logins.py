"""Logins of cameras, from the store or from secret files."""

from __future__ import annotations

from pathlib import Path

from service.cameras.store.cameras import StoredCamera
from service.cameras.store.credentials import CredentialBox, Login, read_secret


class Logins:
    """Finds the login of a camera. Its methods raise ``CredentialsUnreadable``."""

    def __init__(self, box: CredentialBox, secrets_dir: Path | None) -> None:
        self._box, self._folder = box, secrets_dir

    def of(self, camera: StoredCamera) -> Login | None:
        """Return the login of a camera; None if it needs none."""
        if camera.credentials is not None:
            return self._box.unseal(camera.credentials)
        return None if camera.spec.secret is None else self.secret(camera.spec.secret)

    def secret(self, name: str) -> Login:
        """Return the login in a secret file."""
        return read_secret(self._folder, name)
