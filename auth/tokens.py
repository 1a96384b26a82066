"""Access tokens: signing and strict verification. The only file that imports jose.

The library is used for the signature alone, always with an explicit algorithm: left to itself it
takes tokens without exp, sub or aud, unknown ``crit`` headers, and raises other things than its
own errors on hostile ones. What may stand in a token is decided here (RFC 8725, RFC 9068).
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Annotated, NoReturn

from jose import jwk, jws
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from auth.keys import ALGORITHM, KeySet
from auth.principal import Principal, Scope, format_scopes, known_scopes
from auth.settings import AuthSettings
from schemas.errors import Unauthenticated

MAX_TOKEN_CHARS = 4096
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, not a secret
_SEGMENTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SHORT = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_FAR_FUTURE = 2**53


class Header(BaseModel):
    """The only header we take: no crit, jku, x5u, jwk or zip; no other spelling of typ."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alg: str
    typ: str
    kid: _SHORT


class Claims(BaseModel):
    """The claims that RFC 9068 requires, strictly typed; further ones are ignored."""

    model_config = ConfigDict(strict=True)

    iss: _SHORT
    sub: _SHORT
    aud: str | list[str]
    client_id: _SHORT
    exp: int = Field(ge=0, le=_FAR_FUTURE)
    iat: int = Field(ge=0, le=_FAR_FUTURE)
    nbf: int | None = Field(default=None, ge=0, le=_FAR_FUTURE)
    jti: _SHORT
    scope: str = ""


class TokenCodec:
    """Signs and verifies access tokens with one key set."""

    def __init__(
        self, keys: KeySet, settings: AuthSettings, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._settings = settings
        self._clock = clock
        self._signing_kid = keys.signing.kid
        self._private = jwk.construct(keys.signing.private_pem, ALGORITHM)
        self._public = {
            kid: jwk.construct(key.public_pem, ALGORITHM) for kid, key in keys.by_kid.items()
        }

    def issue(self, subject: str, scopes: frozenset[Scope], seconds: int) -> str:
        """A token for ``subject`` that lives ``seconds`` from now."""
        now = int(self._clock())
        claims = {
            "iss": self._settings.issuer,
            "sub": subject,
            "aud": self._settings.audience,
            "client_id": subject,
            "iat": now,
            "exp": now + seconds,
            "jti": uuid.uuid4().hex,
            "scope": format_scopes(scopes),
        }
        header = {"typ": TOKEN_TYPE, "kid": self._signing_kid}
        token: str = jws.sign(claims, self._private, headers=header, algorithm=ALGORITHM)
        return token

    def verify(self, token: str) -> Principal:
        """The caller that ``token`` stands for.

        Raises:
            Unauthenticated: whatever is wrong with it; the detail says no more than a caller with
                an honest but stale token needs to know.
        """
        try:
            claims = self._verified_claims(token)
        except Unauthenticated:
            raise
        except Exception:  # noqa: BLE001 - hostile tokens raise what they like in parsers
            _refuse()
        now, skew = self._clock(), self._settings.clock_skew_seconds
        if now >= claims.exp + skew:
            _refuse("The access token has expired.")
        if max(claims.iat, claims.nbf or 0) > now + skew:
            _refuse("The access token is not valid yet.")
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != self._settings.issuer or self._settings.audience not in audiences:
            _refuse("The access token was not made for this server.")
        return Principal(claims.sub, known_scopes(claims.scope), claims.jti, claims.exp + skew)

    def _verified_claims(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_CHARS:
            _refuse()
        match = _SEGMENTS.fullmatch(token)
        if match is None:
            _refuse()
        header_json, claims_json, _signature = map(_canonical_base64url, match.groups())
        header = Header.model_validate(_strict_json(header_json))
        key = self._public.get(header.kid)
        if header.alg != ALGORITHM or header.typ.lower() != TOKEN_TYPE or key is None:
            _refuse()
        jws.verify(token, key, algorithms=[ALGORITHM])
        try:
            return Claims.model_validate(_strict_json(claims_json))
        except ValidationError:
            _refuse()


def _refuse(detail: str = "The access token is not valid.") -> NoReturn:
    raise Unauthenticated(detail) from None


def _canonical_base64url(segment: str) -> bytes:
    """Decodes base64url without padding; other spellings of the same bytes are refused."""
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        _refuse()
    return data


def _strict_json(data: bytes) -> object:
    """JSON with neither repeated members (RFC 7519, section 4) nor NaN and Infinity."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            _refuse()
        return members

    def constant(_: str) -> object:
        _refuse()

    return json.loads(data, object_pairs_hook=unique, parse_constant=constant)
