"""Signing keys: which one signs, which ones verify, and the published key set.

A new key is published at once and signs only after ``ACTIVATION_SECONDS``, so that every replica
and every client that caches our key set knows it by then. Older keys verify until they are retired.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from schemas.http.auth import JsonWebKey, JsonWebKeySet
from schemas.operator_error import OperatorError

Algorithm = Literal["ES256", "RS256", "HS256"]
ACTIVATION_SECONDS = 30.0
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MIN_SECRET_BYTES = 32
_COORDINATE_BYTES = 32
_PEM_BEGIN = "-----BEGIN "
_PARAMETERS = "EC PARAMETERS-----"
"""Written by ``openssl ecparam -genkey`` before the key, which repeats it."""


class UnsafeKey(OperatorError):
    """A private key that others may read or that is not supported. The message is for people."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. ``kid`` is the RFC 7638 thumbprint, shortened to 128 bits, in hexadecimal.

    ``made``: seconds since the epoch. ``jwk`` is None for a secret, which is never published.
    """

    kid: str
    algorithm: Algorithm
    private: str
    public: str
    jwk: JsonWebKey | None
    made: float = 0.0


class KeySet:
    """The keys of this server at one moment."""

    def __init__(self, keys: list[SigningKey], now: float = 0.0) -> None:
        """``keys`` must not be empty. ``now``: seconds since the epoch."""
        newest_first = sorted(keys, key=lambda key: key.made, reverse=True)
        ripe = [key for key in newest_first if key.made <= now - ACTIVATION_SECONDS]
        # If all keys are new, the oldest signs.
        self.signing = ripe[0] if ripe else newest_first[-1]
        self.by_kid = {key.kid: key for key in newest_first}

    def public(self) -> JsonWebKeySet:
        """Return the key set published at ``/.well-known/jwks.json``."""
        return JsonWebKeySet(keys=[key.jwk for key in self.by_kid.values() if key.jwk])


def make_private(algorithm: Algorithm) -> str:
    """Generate a private key: PEM (PKCS 8), or a secret in base64 for HS256."""
    if algorithm == "HS256":
        return base64.b64encode(secrets.token_bytes(64)).decode()
    private = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(65_537, 3072)
    )
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def read_keys(text: str, origin: str, made: float = 0.0) -> list[SigningKey]:
    """Read the keys of a text, the signing key first: PEM blocks, or one secret in base64.

    Args:
        origin: source of the text, for the error message.

    Raises:
        UnsafeKey: if it holds no key, or an unsupported one.
    """
    if _PEM_BEGIN not in text:
        return [_from_secret(text.strip(), origin, made)]
    blocks = [block for block in text.split(_PEM_BEGIN)[1:] if not block.startswith(_PARAMETERS)]
    if not blocks:
        message = f"{origin} holds no private key"
        raise UnsafeKey(message)
    # The blocks are in order of preference, but keys are sorted by age.
    return [
        _from_pem(_PEM_BEGIN + block, origin, made - number) for number, block in enumerate(blocks)
    ]


def _from_secret(secret: str, origin: str, made: float) -> SigningKey:
    try:
        strength = len(base64.b64decode(secret, validate=True))
    except ValueError:
        strength = 0
    if strength < MIN_SECRET_BYTES:
        message = f"{origin} holds no private key in PEM, nor {MIN_SECRET_BYTES} bytes in base64"
        raise UnsafeKey(message)
    kid = _thumbprint({"k": _base64url(secret.encode()), "kty": "oct"})
    return SigningKey(kid, "HS256", secret, secret, None, made)


@functools.lru_cache(maxsize=64)  # an RSA key takes 0.1 s, and the folder is read every few seconds
def _from_pem(pem: str, origin: str, made: float) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        private = None
    members: dict[str, str]
    algorithm: Algorithm
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
        algorithm, point = "ES256", private.public_key().public_numbers()
        x, y = (_base64url(n.to_bytes(_COORDINATE_BYTES)) for n in (point.x, point.y))
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    elif (
        isinstance(private, rsa.RSAPrivateKey) and MIN_RSA_BITS <= private.key_size <= MAX_RSA_BITS
    ):
        algorithm, numbers = "RS256", private.public_key().public_numbers()
        e, n = (
            _base64url(number.to_bytes((number.bit_length() + 7) // 8))
            for number in (numbers.e, numbers.n)
        )
        members = {"e": e, "kty": "RSA", "n": n}
    else:
        message = f"{origin} holds no P-256 and no RSA private key in PEM"
        raise UnsafeKey(message)
    kid = _thumbprint(members)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    published = {**members, "kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(
        kid, algorithm, pem, public.decode(), JsonWebKey.model_validate(published), made
    )


def _thumbprint(members: dict[str, str]) -> str:
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    # Hexadecimal: base64url may begin with a dash, like a command option.
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
