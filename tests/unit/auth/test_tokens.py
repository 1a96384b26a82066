"""A good token is taken, for as long as it holds."""

from __future__ import annotations

import base64
import json

import pytest

from auth.keys import KeySet, SigningKey
from auth.principal import ALL_SCOPES, Scope
from auth.tokens import TokenCodec
from schemas.errors import Unauthenticated
from tests.unit.auth.forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    SETTINGS,
    STRANGER,
    Clock,
    codec,
    token,
)

SKEW = SETTINGS.clock_skew_seconds
GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
CODEC = codec()


def test_a_good_token_stands_for_its_caller() -> None:
    principal = CODEC.verify(GOOD)
    assert (principal.name, principal.token_id) == ("anna", "one")
    assert principal.scopes == {Scope.CLASSIFY, Scope.MODELS_READ}
    assert principal.expires_at == NOW + 600 + SKEW


def test_what_is_issued_holds() -> None:
    issued = CODEC.issue("bert", frozenset({Scope.ADMIN}), 60)
    principal = CODEC.verify(issued)
    assert principal.name == "bert"
    assert principal.scopes == {Scope.ADMIN}
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in issued.split("."))
    assert json.loads(header) == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
    members = json.loads(claims)
    assert {name: members[name] for name in ("iss", "aud", "client_id", "iat", "exp")} == {
        "iss": "potoo",
        "aud": "potoo",
        "client_id": "bert",
        "iat": NOW,
        "exp": NOW + 60,
    }
    assert CODEC.verify(CODEC.issue("bert", ALL_SCOPES, 60)).token_id != principal.token_id


def test_a_key_that_no_longer_signs_still_verifies() -> None:
    newer = SigningKey.from_private(STRANGER)
    rotated = TokenCodec(KeySet([newer, KEY]), SETTINGS, clock=Clock())
    assert rotated.verify(GOOD).name == "anna"
    assert HEAD not in rotated.issue("anna", ALL_SCOPES, 60)
    with pytest.raises(Unauthenticated):
        CODEC.verify(rotated.issue("anna", ALL_SCOPES, 60))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["potoo"]},
        {"aud": ["other", "potoo"]},
        {"nbf": NOW},
        {"nbf": None},
        {"further": {"claims": ["are", "ignored"]}},
        {"scope": ""},
    ],
    ids=str,
)
def test_what_the_standard_allows_is_allowed(changes: dict[str, object]) -> None:
    assert CODEC.verify(token(claims={**CLAIMS, **changes})).name == "anna"


def test_the_type_is_compared_without_case_as_media_types_are() -> None:
    assert CODEC.verify(token({**HEADER, "typ": "AT+JWT"})).name == "anna"


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("classify", {Scope.CLASSIFY}),
        ("classify future:scope", {Scope.CLASSIFY}),
        ("  admin   admin ", {Scope.ADMIN}),
        ("CLASSIFY Admin", set()),
        ("", set()),
    ],
)
def test_a_scope_that_is_not_known_grants_nothing(claim: str, scopes: set[Scope]) -> None:
    assert CODEC.verify(token(claims={**CLAIMS, "scope": claim})).scopes == scopes


def test_an_expired_token_is_refused_once_the_skew_is_over() -> None:
    clock = Clock(NOW + 600 + SKEW - 1)
    tolerant = codec(clock)
    assert tolerant.verify(GOOD).name == "anna"
    clock.now += 1
    with pytest.raises(Unauthenticated, match="expired"):
        tolerant.verify(GOOD)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_the_future_is_refused_beyond_the_skew(claim: str) -> None:
    assert CODEC.verify(token(claims={**CLAIMS, claim: NOW + SKEW})).name == "anna"
    with pytest.raises(Unauthenticated, match="not valid yet"):
        CODEC.verify(token(claims={**CLAIMS, claim: NOW + SKEW + 1}))
