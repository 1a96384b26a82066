"""Valid and forged tokens, made without the library under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from auth.issuer_settings import IssuerSettings
from auth.keys import KeySet, SigningKey, read_keys
from auth.settings import AuthSettings
from auth.signing.tokens import TokenSigner, VerificationKey
from auth.signing.verifier import Verifier

NOW = 1_800_000_000
SETTINGS = AuthSettings()


def pem(
    private: PrivateKeyTypes,
    encryption: serialization.KeySerializationEncryption | None = None,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> str:
    return private.private_bytes(
        serialization.Encoding.PEM, form, encryption or serialization.NoEncryption()
    ).decode()


def as_key(private: PrivateKeyTypes | str, made: float = 0.0) -> SigningKey:
    """Convert a key to the server's form; a string is a secret for HS256."""
    text = private if isinstance(private, str) else pem(private)
    (key,) = read_keys(text, "a test", made)
    return key


PRIVATE = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
RSA_PRIVATE = rsa.generate_private_key(65_537, 2048)
SECRET = base64.b64encode(bytes(range(64))).decode()
KEY, RSA_KEY, SECRET_KEY = as_key(PRIVATE), as_key(RSA_PRIVATE), as_key(SECRET)

HEADER: dict[str, object] = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS: dict[str, object] = {
    "iss": "potoo",
    "sub": "anna",
    "aud": "potoo",
    "client_id": "anna",
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "exp": NOW + 600,
    "jti": "one",
    "scope": "classify models:read",
}


@dataclass
class Clock:
    """A manual clock: seconds since the epoch."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Issuers:
    """Keys of trusted issuers, by issuer; empty by default."""

    known: dict[str, tuple[IssuerSettings, dict[str, VerificationKey]]] = field(
        default_factory=dict
    )

    def settings_of(self, issuer: str) -> IssuerSettings | None:
        return self.known[issuer][0] if issuer in self.known else None

    def key(self, issuer: str, kid: str) -> VerificationKey | None:
        return self.known[issuer][1].get(kid)


def verifier(
    *keys: SigningKey,
    clock: Clock | None = None,
    settings: AuthSettings = SETTINGS,
    issuers: Issuers | None = None,
) -> Verifier:
    """A verifier with the server's key, unless others are given."""
    return Verifier(
        KeySet(list(keys) or [KEY]), issuers or Issuers(), settings, clock=clock or Clock()
    )


def signer(
    *keys: SigningKey, clock: Clock | None = None, settings: AuthSettings = SETTINGS
) -> TokenSigner:
    """A signer with the server's key, unless others are given."""
    return TokenSigner(KeySet(list(keys) or [KEY]), settings, clock=clock or Clock())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def uncanonical(segment: str) -> str:
    """Another spelling of the same bytes: the unused bits of the last character are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]
    assert unb64(other) == unb64(segment)
    return other


def dumped(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def members(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims of a token, without verification."""
    header, claims, _ = map(unb64, token.split("."))
    return json.loads(header), json.loads(claims)


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


def rsa_token(kid: str, alg: str = "RS256", private: rsa.RSAPrivateKey = RSA_PRIVATE) -> str:
    """A token signed with RS256, whatever its header."""
    signed = f"{b64(dumped({**HEADER, 'alg': alg, 'kid': kid}))}.{b64(dumped(CLAIMS))}"
    made = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{b64(made)}"


def hmac_token(secret: bytes, alg: str = "HS256", kid: str = KEY.kid) -> str:
    """A token signed with a secret, such as the public key as text."""
    signed = f"{b64(dumped({**HEADER, 'alg': alg, 'kid': kid}))}.{b64(dumped(CLAIMS))}"
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def public_der(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = PRIVATE) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def without(members: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in members.items() if key != name}
