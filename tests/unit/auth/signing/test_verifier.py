"""Required claims and times of Potoo's own tokens."""

from __future__ import annotations

import pytest

from auth.keys import KeySet
from auth.principal import ALL_SCOPES, Principal, Scope
from auth.settings import AuthSettings
from schemas.errors import Unauthenticated
from tests.support.auth.forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    RSA_KEY,
    SECRET_KEY,
    SETTINGS,
    STRANGER,
    Clock,
    as_key,
    signer,
    token,
    verifier,
    without,
)

SKEW = SETTINGS.clock_skew_seconds
GOOD = token()
VERIFIER = verifier()


def refused(claims: dict[str, object], message: str = "is not valid") -> None:
    with pytest.raises(Unauthenticated, match=message) as caught:
        VERIFIER.verify(token(claims=claims))
    assert type(caught.value) is Unauthenticated


def test_valid_token_gives_its_principal() -> None:
    assert VERIFIER.verify(GOOD) == Principal(
        name="anna",
        scopes=frozenset({Scope.CLASSIFY, Scope.MODELS_READ}),
        token_id="one",
        expires_at=NOW + 600 + SKEW,
        issued_at=NOW - 10,
        session_id=None,
        models=None,
        client_id="anna",
    )


def test_issued_token_verifies_with_the_same_values() -> None:
    issued = signer().issue(
        "bert",
        frozenset({Scope.ADMIN}),
        60,
        client_id="phone",
        session_id="the session",
        models=frozenset({"plants"}),
    )
    principal = VERIFIER.verify(issued)
    assert (principal.name, principal.client_id) == ("bert", "phone")
    assert (principal.scopes, principal.session_id) == (frozenset({Scope.ADMIN}), "the session")
    assert principal.models == frozenset({"plants"})
    assert principal.weight == 1
    assert (principal.issued_at, principal.expires_at) == (NOW, NOW + 60 + SKEW)


def test_weight_of_the_account_is_in_its_token() -> None:
    issued = signer().issue("bert", frozenset({Scope.ADMIN}), 60, weight=7)
    assert VERIFIER.verify(issued).weight == 7


@pytest.mark.parametrize("weight", [0, -1, 101, 1.5, True, "2", None])
def test_a_token_with_an_invalid_weight_is_refused(weight: object) -> None:
    refused({**CLAIMS, "weight": weight})


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id"])
def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    refused(without(CLAIMS, name))
    refused({**CLAIMS, name: None})


@pytest.mark.parametrize("issuer", ["someone else", "Potoo", "potoo ", "https://potoo", "*"])
def test_token_of_an_untrusted_issuer_is_refused(issuer: str) -> None:
    refused({**CLAIMS, "iss": issuer}, "was not made for this server")


@pytest.mark.parametrize(
    "audience", ["other", "Potoo", "potoo.example", "potoo ", "*", [], ["other", "another"]]
)
def test_token_for_another_audience_is_refused(audience: str | list[str]) -> None:
    refused({**CLAIMS, "aud": audience}, "was not made for this server")


def test_issuer_and_audience_are_compared_with_the_settings() -> None:
    settings = AuthSettings(issuer="https://potoo.example", audience="the api")
    ours = verifier(settings=settings)
    assert ours.verify(signer(settings=settings).issue("anna", ALL_SCOPES, 60)).name == "anna"
    with pytest.raises(Unauthenticated, match="not made for this server"):
        ours.verify(GOOD)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["potoo"]},
        {"aud": ["other", "potoo"]},
        {"further": {"claims": ["are", "ignored"]}},
        {"scope": ""},
        {"models": None},
    ],
    ids=str,
)
def test_optional_claim_forms_are_accepted(changes: dict[str, object]) -> None:
    assert VERIFIER.verify(token(claims={**CLAIMS, **changes})).name == "anna"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_token_type_is_compared_as_a_media_type(typ: str) -> None:
    assert VERIFIER.verify(token({**HEADER, "typ": typ})).name == "anna"


@pytest.mark.parametrize(
    "typ", ["JWT", "id+jwt", "application/jwt", "text/at+jwt", "at+jwt; v=1", "at+jwt ", "at", ""]
)
def test_a_token_of_another_type_is_refused(typ: str) -> None:
    with pytest.raises(Unauthenticated):
        VERIFIER.verify(token({**HEADER, "typ": typ}))


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
def test_unknown_scope_grants_nothing(claim: str, scopes: set[Scope]) -> None:
    assert VERIFIER.verify(token(claims={**CLAIMS, "scope": claim})).scopes == scopes


def test_scope_claim_as_a_list_is_refused() -> None:
    refused({**CLAIMS, "scope": ["classify", "admin"]})


def test_session_and_models_are_read_from_the_token() -> None:
    named = VERIFIER.verify(token(claims={**CLAIMS, "sid": "one", "models": ["plants"]}))
    assert named.session_id == "one"
    assert named.may_use("plants")
    assert not named.may_use("everyday")
    none = VERIFIER.verify(token(claims={**CLAIMS, "models": []}))
    assert not none.may_use("plants")
    assert VERIFIER.verify(GOOD).may_use("plants")


@pytest.mark.parametrize(
    "changes",
    [
        {"sid": 7},
        {"sid": ""},
        {"sid": ["one"]},
        {"sid": "s" * 256},
        {"models": "plants"},
        {"models": [7]},
        {"models": {"plants": True}},
        {"models": [["plants"]]},
    ],
    ids=lambda changes: str(changes)[:30],
)
def test_invalid_session_or_models_claim_is_refused(changes: dict[str, object]) -> None:
    refused({**CLAIMS, **changes})


def test_expired_token_is_refused_after_the_clock_skew() -> None:
    clock = Clock(NOW + 600 + SKEW - 1)
    tolerant = verifier(clock=clock)
    assert tolerant.verify(GOOD).name == "anna"
    clock.now += 1
    with pytest.raises(Unauthenticated, match="expired"):
        tolerant.verify(GOOD)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_token_from_the_future_is_refused_beyond_the_skew(claim: str) -> None:
    assert VERIFIER.verify(token(claims={**CLAIMS, claim: NOW + SKEW})).name == "anna"
    refused({**CLAIMS, claim: NOW + SKEW + 1}, "not valid yet")


def test_zero_clock_skew_is_strict() -> None:
    settings, clock = AuthSettings(clock_skew_seconds=0), Clock(NOW + 599)
    strict = verifier(clock=clock, settings=settings)
    assert strict.verify(GOOD).expires_at == NOW + 600
    clock.now = NOW + 600
    with pytest.raises(Unauthenticated, match="expired"):
        strict.verify(GOOD)
    with pytest.raises(Unauthenticated, match="not valid yet"):
        strict.verify(token(claims={**CLAIMS, "nbf": NOW + 601, "exp": NOW + 900}))


def test_validity_is_re_evaluated_when_the_clock_moves() -> None:
    clock = Clock()
    ours, issued = verifier(clock=clock), signer(clock=clock).issue("anna", ALL_SCOPES, 60)
    assert ours.verify(issued).name == "anna"
    clock.now = NOW - 3600
    with pytest.raises(Unauthenticated, match="not valid yet"):
        ours.verify(issued)
    clock.now = NOW - SKEW
    assert ours.verify(issued).name == "anna"
    clock.now = NOW + 3600
    with pytest.raises(Unauthenticated, match="expired"):
        ours.verify(issued)
    clock.now = NOW + 30
    assert ours.verify(issued).name == "anna", "it was not remembered as expired"


def test_older_keys_verify_until_removed() -> None:
    newer = as_key(STRANGER, made=1)
    ours, issued = verifier(KEY, newer), signer(newer).issue("anna", ALL_SCOPES, 60)
    assert ours.verify(GOOD).name == "anna"
    assert ours.verify(issued).name == "anna"
    ours.use(KeySet([newer]))
    assert ours.verify(issued).name == "anna"
    with pytest.raises(Unauthenticated):
        ours.verify(GOOD)


def test_keys_of_all_algorithms_verify_together() -> None:
    ours = verifier(KEY, RSA_KEY, SECRET_KEY)
    for key in (KEY, RSA_KEY, SECRET_KEY):
        assert ours.verify(signer(key).issue("anna", ALL_SCOPES, 60)).name == "anna"
