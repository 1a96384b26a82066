"""Tokens made by hand, good ones and forged ones, without the library that is under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from auth.keys import KeySet, SigningKey
from auth.settings import AuthSettings
from auth.tokens import TokenCodec

NOW = 1_800_000_000
SETTINGS = AuthSettings()
PRIVATE = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
KEY = SigningKey.from_private(PRIVATE)

HEADER: dict[str, object] = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS: dict[str, object] = {
    "iss": "potoo",
    "sub": "anna",
    "aud": "potoo",
    "client_id": "anna",
    "iat": NOW - 10,
    "exp": NOW + 600,
    "jti": "one",
    "scope": "classify models:read",
}


@dataclass
class Clock:
    """Seconds since the epoch, moved by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def codec(clock: Clock | None = None, settings: AuthSettings = SETTINGS) -> TokenCodec:
    return TokenCodec(KeySet([KEY]), settings, clock=clock or Clock())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def dumped(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signature(data: str, private: ec.EllipticCurvePrivateKey = PRIVATE) -> bytes:
    """ES256 (RFC 7518, section 3.4)."""
    r, s = decode_dss_signature(private.sign(data.encode(), ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def token(
    header: object = HEADER,
    claims: object = CLAIMS,
    private: ec.EllipticCurvePrivateKey = PRIVATE,
) -> str:
    """A signed token; ``header`` and ``claims`` are members, or bytes as they are."""
    signed = f"{b64(dumped(header))}.{b64(dumped(claims))}"
    return f"{signed}.{b64(signature(signed, private))}"


def hmac_token(secret: bytes, alg: str = "HS256") -> str:
    """Signed with a secret, such as our public key, which everybody knows."""
    signed = f"{b64(dumped({**HEADER, 'alg': alg}))}.{b64(dumped(CLAIMS))}"
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def public_der() -> bytes:
    return PRIVATE.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def without(members: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in members.items() if key != name}
