"""Access token verification (RFC 8725, RFC 9068).

One policy for every transport, for our own tokens and for those of trusted issuers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from auth.issuer_settings import IssuerSettings
from auth.keys import KeySet
from auth.principal import Principal, Scope, known_scopes
from auth.settings import AuthSettings
from auth.signing.tokens import (
    TOKEN_TYPE,
    Claims,
    OwnClaims,
    ShortText,
    UnverifiedToken,
    VerificationKey,
    check_signature,
    parse_unverified,
    refuse,
    verification_key,
)
from schemas.errors import Unauthenticated

MAX_TOKEN_ID_CHARS = 128
"""Longest token id of another issuer; longer ones are hashed to fit the store."""
_SHORT_TEXT: TypeAdapter[str] = TypeAdapter(ShortText)


class UnknownKey(Unauthenticated):
    """The token of a trusted issuer names an unknown key, which may be new."""

    def __init__(self, issuer: str) -> None:
        super().__init__("The access token is not valid.")
        self.issuer = issuer


class IssuerKeys(Protocol):
    """The currently known keys of trusted issuers."""

    def settings_of(self, issuer: str) -> IssuerSettings | None:
        """Return the settings for tokens with that ``iss``, or None if it is not trusted."""

    def key(self, issuer: str, kid: str) -> VerificationKey | None:
        """Return the issuer's published key with that id, or None."""


class Verifier:
    """Token verifier. Does not check revocation, which may follow verification."""

    def __init__(
        self,
        keys: KeySet,
        issuers: IssuerKeys,
        settings: AuthSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._issuers, self._settings, self._clock = issuers, settings, clock
        self.use(keys)

    def use(self, keys: KeySet) -> None:
        """Replace the set of our own keys."""
        self._keys = {
            kid: verification_key(key.public, key.algorithm) for kid, key in keys.by_kid.items()
        }

    def verify(self, token: str) -> Principal:
        """Return the principal of ``token``.

        Raises:
            Unauthenticated: if the token is not valid.
            UnknownKey: if it may be valid, and its issuer's keys should be fetched again.
        """
        parts = parse_unverified(token)
        if parts.claims.iss == self._settings.issuer:
            return self._verify_ours(parts)
        issuer = self._issuers.settings_of(parts.claims.iss)
        if issuer is None:
            refuse("The access token was not made for this server.")
        return self._verify_theirs(parts, issuer)

    def _verify_ours(self, token: UnverifiedToken) -> Principal:
        key = self._keys.get(token.header.kid)
        if key is None or not _is_type(token.header.typ, (TOKEN_TYPE,)):
            refuse()
        check_signature(token, key)
        try:
            claims = OwnClaims.model_validate(dict(token.claims))
        except ValidationError:
            refuse()
        expires_at = self._check_times(claims)
        _check_audience(claims.aud, (self._settings.audience,))
        return Principal(
            claims.sub,
            known_scopes(claims.scope),
            claims.jti,
            expires_at,
            claims.iat,
            claims.sid,
            None if claims.models is None else frozenset(claims.models),
            claims.client_id,
            claims.weight,
        )

    def _verify_theirs(self, token: UnverifiedToken, issuer: IssuerSettings) -> Principal:
        claims, header = token.claims, token.header
        if header.alg not in issuer.algorithms or not _is_type(header.typ, issuer.token_types):
            refuse()
        key = self._issuers.key(issuer.issuer, header.kid)
        if key is None:
            raise UnknownKey(issuer.issuer)
        check_signature(token, key)
        expires_at = self._check_times(claims)
        said = dict(claims)
        _check_audience(_claim(said, issuer.audience_claim), issuer.audience)
        for name, value in issuer.required_claims.items():
            found = _claim(said, name)
            if type(found) is not type(value) or found != value:  # True is not 1
                refuse()
        # Without an id, or with a long one, a token is identified by a hash of its signed part.
        token_id = _short_text(said.get("jti"))
        if token_id is None or len(token_id) > MAX_TOKEN_ID_CHARS:
            token_id = hashlib.sha256(token.signed.encode()).hexdigest()
        name = f"{issuer.name}|{claims.sub}"
        return Principal(
            name,
            _granted(said, issuer),
            f"{issuer.name}|{token_id}",
            expires_at,
            claims.iat,
            client_id=_short_text(said.get("client_id")) or name,
        )

    def _check_times(self, claims: Claims) -> float:
        """Check the times; return the expiry, tolerated skew included."""
        now, skew = self._clock(), self._settings.clock_skew_seconds
        if now >= claims.exp + skew:
            refuse("The access token has expired.")
        if max(claims.iat, claims.nbf or 0) > now + skew:
            refuse("The access token is not valid yet.")
        return claims.exp + skew


def _check_audience(found: object, accepted: tuple[str, ...]) -> None:
    audiences = found if isinstance(found, list) else [found]
    if not any(isinstance(one, str) and one in accepted for one in audiences):
        refuse("The access token was not made for this server.")


def _short_text(value: object) -> str | None:
    """Return a claim that may be logged and stored; None if it is something else."""
    try:
        return _SHORT_TEXT.validate_python(value, strict=True)
    except ValidationError:
        return None


def _is_type(given: str, accepted: tuple[str, ...]) -> bool:
    """Compare media types; ``application/`` is optional (RFC 7515, section 4.1.9)."""
    short = given.lower().removeprefix("application/")
    return short in {name.lower().removeprefix("application/") for name in accepted}


def _claim(said: dict[str, object], name: str) -> object:
    """Return the claim of that name (may be a URL), else the one at its dotted path, or None."""
    if name in said:
        return said[name]
    value: object = said
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _granted(said: dict[str, object], issuer: IssuerSettings) -> frozenset[Scope]:
    """Return the scopes that the issuer's claims grant; unmapped values grant nothing."""
    names = (issuer.scope_claim,) if isinstance(issuer.scope_claim, str) else issuer.scope_claim
    granted = set(issuer.default_scopes)
    for name in names:
        value = _claim(said, name)
        words = value.split() if isinstance(value, str) else value
        for word in words if isinstance(words, list) else ():
            granted.update(issuer.scopes.get(word, ()) if isinstance(word, str) else ())
    return frozenset(granted)
