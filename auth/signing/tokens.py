"""Access tokens as text: signing, parsing, checking a signature.

The only file that imports jose. The library is used for signatures only, always with the one
algorithm of the given key: on its own it accepts tokens without exp, sub or aud and unknown
``crit`` headers, and raises undeclared exceptions on hostile tokens. Claims are checked in
``auth/signing/verifier.py``.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from jose import jwk, jws
from jose.backends.base import Key
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from auth.keys import KeySet
from auth.principal import MAX_WEIGHT, Scope, format_scopes
from auth.settings import AuthSettings
from schemas.errors import Unauthenticated

MAX_TOKEN_CHARS = 8192
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, not a secret
_SEGMENTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
ShortText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^\P{Cc}+$"),  # for logs and stores
]
_FAR_FUTURE = 2**53


class Header(BaseModel):
    """The only accepted header: no crit, jku, x5u, jwk or zip."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alg: str
    typ: str = ""
    kid: ShortText
    x5t: str | None = None
    """A fingerprint that some issuers add; ignored."""


def _whole(seconds: object) -> object:
    """Drop the fraction of a NumericDate, which may have one (RFC 7519, section 2)."""
    return math.floor(seconds) if isinstance(seconds, float) else seconds


_Seconds = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=_FAR_FUTURE)]


class Claims(BaseModel):
    """The claims with the same meaning for every issuer, strictly typed; others are kept unchecked.

    Times are whole seconds since the epoch, fractions dropped.
    """

    model_config = ConfigDict(strict=True, extra="allow")

    iss: ShortText
    sub: ShortText
    exp: _Seconds
    iat: _Seconds
    nbf: _Seconds | None = None


class OwnClaims(Claims):
    """The claims of our own tokens."""

    aud: str | list[str]
    nbf: _Seconds
    jti: ShortText
    client_id: ShortText
    scope: str = ""
    sid: ShortText | None = None
    models: list[str] | None = None
    weight: int = Field(default=1, ge=1, le=MAX_WEIGHT)


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A parsed token whose signature is not verified yet."""

    text: str
    header: Header
    claims: Claims

    @property
    def signed(self) -> str:
        """Header and claims as sent: the part that the signature covers."""
        return self.text.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, or a secret, and the one algorithm it may be used with."""

    algorithm: str
    key: Key


def verification_key(source: str | Mapping[str, object], algorithm: str) -> VerificationKey:
    """Build a verification key from PEM, a secret or a JSON Web Key.

    Raises:
        ValueError: if the source is not a valid key.
    """
    try:
        return VerificationKey(algorithm, jwk.construct(source, algorithm))  # type: ignore[arg-type]
    except Exception as error:  # the library raises many types
        raise ValueError(str(error)) from error


def parse_unverified(token: str) -> UnverifiedToken:
    """Parse a token without verifying it. Its length is checked first.

    Raises:
        Unauthenticated: if it is malformed in any way.
    """
    try:
        match = _SEGMENTS.fullmatch(token) if len(token) <= MAX_TOKEN_CHARS else None
        if match is None:
            refuse()
        header, claims, _ = map(_canonical_base64url, match.groups())
        return UnverifiedToken(
            token,
            Header.model_validate(_strict_json(header)),
            Claims.model_validate(_strict_json(claims)),
        )
    except Unauthenticated:
        raise
    except Exception:  # noqa: BLE001 - parsers raise many types on hostile tokens
        refuse()


def check_signature(token: UnverifiedToken, key: VerificationKey) -> None:
    """Check that ``key`` signed the token.

    Raises:
        Unauthenticated: if it did not, or the token names another algorithm.
    """
    if token.header.alg != key.algorithm:
        refuse()
    try:
        jws.verify(token.text, key.key, algorithms=[key.algorithm])
    except Exception:  # noqa: BLE001 - see above
        refuse()


class TokenSigner:
    """Signer of access tokens (RFC 9068)."""

    def __init__(
        self, keys: KeySet, settings: AuthSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._settings, self._clock = settings, clock
        self.use(keys)

    def use(self, keys: KeySet) -> None:
        """Sign with the signing key of ``keys`` from now on."""
        key = keys.signing
        self._kid, self._algorithm = key.kid, key.algorithm
        self._private = jwk.construct(key.private, key.algorithm)

    def issue(
        self,
        subject: str,
        scopes: frozenset[Scope],
        seconds: int,
        *,
        client_id: str | None = None,
        session_id: str | None = None,
        models: frozenset[str] | None = None,
        weight: int = 1,
    ) -> str:
        """Issue a token for ``subject`` that expires in ``seconds``.

        Args:
            session_id: the session of the device; ending it revokes the token.
            models: names of the permitted models; None for all.
            weight: of the account; the claim is left out if it is that of a new account.
        """
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._settings.issuer,
            "sub": subject,
            "aud": self._settings.audience,
            "client_id": client_id or subject,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": uuid.uuid4().hex,
            "scope": format_scopes(scopes),
        }
        if session_id is not None:
            claims["sid"] = session_id
        if models is not None:
            claims["models"] = sorted(models)
        if weight != 1:
            claims["weight"] = weight
        header = {"typ": TOKEN_TYPE, "kid": self._kid}
        token: str = jws.sign(claims, self._private, headers=header, algorithm=self._algorithm)
        return token


def refuse(detail: str = "The access token is not valid.") -> NoReturn:
    """Refuse a token; the detail contains only what the owner of an expired token needs.

    Raises:
        Unauthenticated: always.
    """
    raise Unauthenticated(detail) from None


def _canonical_base64url(segment: str) -> bytes:
    """Decode base64url without padding; refuse other spellings of the same bytes."""
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        refuse()
    return data


def _strict_json(data: bytes) -> object:
    """Parse JSON; refuse repeated members (RFC 7519, section 4), NaN and Infinity."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            refuse()
        return members

    def constant(_: str) -> object:
        refuse()

    return json.loads(data, object_pairs_hook=unique, parse_constant=constant)
