"""Tokens and settings of a trusted issuer."""

from __future__ import annotations

import pytest

from auth.issuer_settings import IssuerSettings
from auth.principal import Principal
from auth.signing.tokens import verification_key
from schemas.errors import Unauthenticated
from tests.support.auth.forge import (
    NOW,
    RSA_PRIVATE,
    SETTINGS,
    STRANGER,
    Issuers,
    verifier,
)
from tests.support.servers.issuer import Private, published_key, signed

ISSUER = "https://sso.example/realms/shop"
SKEW = SETTINGS.clock_skew_seconds
THEIR_HEADER: dict[str, object] = {"alg": "ES256", "typ": "at+jwt", "kid": "theirs"}
THEIR_CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "anna",
    "aud": ["potoo", "others"],
    "iat": NOW - 10,
    "exp": NOW + 600,
    "scope": "openid pictures",
}


def trust(**changes: object) -> IssuerSettings:
    """An issuer whose scope ``pictures`` grants ``classify``."""
    return IssuerSettings.model_validate(
        {
            "name": "shop",
            "issuer": ISSUER,
            "audience": ["potoo"],
            "scopes": {"pictures": ["classify"], "boss": ["admin", "metrics"]},
            **changes,
        }
    )


def known(*trusted: IssuerSettings, **keys: Private) -> Issuers:
    """Issuers that share keys; by default one of each kind."""
    published = keys or {"theirs": STRANGER, "their_rsa": RSA_PRIVATE}
    parsed = {
        kid: verification_key(published_key(key, kid), "RS256" if key is RSA_PRIVATE else "ES256")
        for kid, key in published.items()
    }
    return Issuers({one.issuer: (one, parsed) for one in trusted})


def theirs(
    claims: dict[str, object] | None = None,
    header: dict[str, object] | None = None,
    private: Private = STRANGER,
) -> str:
    """A token of the issuer; ``claims`` and ``header`` are changes."""
    return signed(THEIR_HEADER | (header or {}), THEIR_CLAIMS | (claims or {}), private)


def accepted(text: str, **changes: object) -> Principal:
    return verifier(issuers=known(trust(**changes))).verify(text)


def refused(text: str, message: str = "not valid", **changes: object) -> None:
    with pytest.raises(Unauthenticated, match=message) as caught:
        accepted(text, **changes)
    assert type(caught.value) is Unauthenticated, "nobody looks for another key"
