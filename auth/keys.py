"""Signing keys: ES256 private keys as PEM files, their public halves as a JSON Web Key Set.

The newest key signs; every key in the folder verifies.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.auth import JsonWebKey, JsonWebKeySet

ALGORITHM = "ES256"
_COORDINATE_BYTES = 32


class UnsafeKey(Exception):
    """A private key that others may read, or that is not what we use. The message is for people."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair. ``kid`` is the RFC 7638 thumbprint, shortened to 128 bits."""

    kid: str
    private_pem: str
    public_pem: str
    jwk: JsonWebKey

    @classmethod
    def from_private(cls, private: ec.EllipticCurvePrivateKey) -> SigningKey:
        """Derives everything from a P-256 private key."""
        public = private.public_key()
        numbers = public.public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": _base64url(numbers.x.to_bytes(_COORDINATE_BYTES)),
            "y": _base64url(numbers.y.to_bytes(_COORDINATE_BYTES)),
        }
        canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
        kid = _base64url(hashlib.sha256(canonical.encode()).digest()[:16])
        return cls(
            kid=kid,
            private_pem=private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
            public_pem=public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ).decode(),
            jwk=JsonWebKey.model_validate({**members, "kid": kid, "alg": ALGORITHM, "use": "sig"}),
        )


class KeySet:
    """The keys of this server, newest first."""

    def __init__(self, keys: list[SigningKey]) -> None:
        """``keys`` must not be empty; the first one signs."""
        self.signing = keys[0]
        self.by_kid = {key.kid: key for key in keys}

    def public(self) -> JsonWebKeySet:
        """What ``/.well-known/jwks.json`` shows."""
        return JsonWebKeySet(keys=[key.jwk for key in self.by_kid.values()])


def load_keys(folder: Path) -> KeySet:
    """Reads the PEM files of ``folder``; makes the first one (mode 0600) if there is none.

    Raises:
        UnsafeKey: if a file may be read by others, or holds no P-256 private key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = sorted(folder.glob("*.pem"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if not files:
        key = SigningKey.from_private(ec.generate_private_key(ec.SECP256R1()))
        file = folder / f"{key.kid}.pem"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(key.private_pem)
        return KeySet([key])
    return KeySet([_read(file) for file in files])


def _read(file: Path) -> SigningKey:
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        message = f"{file} may be read by others: chmod 600 it"
        raise UnsafeKey(message)
    try:
        private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        private = None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        message = f"{file} holds no P-256 private key in PEM"
        raise UnsafeKey(message)
    return SigningKey.from_private(private)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
