"""Required claims, and identity, of trusted issuers' tokens."""

from __future__ import annotations

import json

import pytest

from auth.principal import Principal, Scope
from tests.support.auth.foreign import (
    ISSUER,
    SKEW,
    THEIR_CLAIMS,
    THEIR_HEADER,
    accepted,
    refused,
    theirs,
)
from tests.support.auth.forge import (
    NOW,
    STRANGER,
    without,
)
from tests.support.servers.issuer import signed

# Identity


def test_principal_is_named_by_issuer_and_subject() -> None:
    principal = accepted(theirs({"jti": "one", "client_id": "the shop's app"}))
    assert principal == Principal(
        name="shop|anna",
        scopes=frozenset({Scope.CLASSIFY}),
        token_id="shop|one",
        expires_at=NOW + 600 + SKEW,
        issued_at=NOW - 10,
        client_id="the shop's app",
    )


def test_optional_claims_may_be_missing() -> None:
    """jti, nbf and client_id may be missing: the signature's input then identifies the token."""
    first, second = accepted(theirs()), accepted(theirs({"more": 1}))
    assert first.client_id == "shop|anna"
    assert first.token_id != second.token_id
    assert first.token_id == accepted(theirs()).token_id


def test_issuer_session_and_model_claims_are_ignored() -> None:
    principal = accepted(theirs({"sid": "ours", "models": ["plants"]}))
    assert principal.session_id is None
    assert principal.may_use("everyday")


@pytest.mark.parametrize("sub", ["", "a\nb", "a\0b", "\x7f", "\x85", "s" * 256, None, 7, "\ud800"])
def test_subject_unsafe_for_logs_or_store_is_refused(sub: object) -> None:
    refused(theirs({"sub": sub}))


@pytest.mark.parametrize("sub", ["auth0|5f7c", "client@clients", "Ännä Ö.", "|", "x" * 255])
def test_unusual_subjects_are_accepted(sub: str) -> None:
    assert accepted(theirs({"sub": sub})).name == f"shop|{sub}"


# Required claims


@pytest.mark.parametrize("name", ["iss", "sub", "iat", "exp"])
def test_issuer_token_without_a_required_claim_is_refused(name: str) -> None:
    refused(signed(THEIR_HEADER, without(THEIR_CLAIMS, name), STRANGER))


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": NOW - SKEW}, "expired"),
        ({"iat": NOW + SKEW + 1}, "not valid yet"),
        ({"nbf": NOW + SKEW + 1}, "not valid yet"),
        ({"aud": "other"}, "not made for this server"),
        ({"aud": []}, "not made for this server"),
        ({"aud": "potoo "}, "not made for this server"),
        ({"iss": f"{ISSUER}/"}, "not made for this server"),
        ({"iss": "https://sso.example/realms/other"}, "not made for this server"),
        ({"aud": None}, "not made for this server"),
        ({"aud": {"potoo": 1}}, "not made for this server"),
        ({"aud": [["potoo"], 7]}, "not made for this server"),
        ({"exp": NOW - SKEW + 0.5}, "expired"),
        ({"iat": NOW + SKEW + 1.5}, "not valid yet"),
        ({"nbf": str(NOW)}, "not valid"),
    ],
    ids=str,
)
def test_times_audience_and_issuer_are_checked(claims: dict[str, object], message: str) -> None:
    refused(theirs(claims), message)


@pytest.mark.parametrize("exp", [NOW + 600.0, NOW + 600.25])
def test_times_may_have_fractions_which_are_dropped(exp: float) -> None:
    """NumericDate, RFC 7519, section 2."""
    principal = accepted(theirs({"exp": exp, "iat": NOW - 9.75, "nbf": NOW - 9.75}))
    assert (principal.expires_at, principal.issued_at) == (NOW + 600 + SKEW, NOW - 10)


@pytest.mark.parametrize(
    "claims",
    [
        {"models": "all"},
        {"models": [1]},
        {"sid": 5},
        {"sid": ["x"]},
        {"nbf": None},
        {"username": {"more": []}},
    ],
    ids=str,
)
def test_claims_without_a_meaning_here_may_have_any_type(claims: dict[str, object]) -> None:
    assert accepted(theirs(claims)).scopes == {Scope.CLASSIFY}


@pytest.mark.parametrize("value", ["", 7, None, ["an app"], "a\nb", "x" * 256])
def test_unusable_token_and_client_ids_count_as_missing(value: object) -> None:
    principal = accepted(theirs({"jti": value, "client_id": value}))
    assert principal.client_id == "shop|anna"
    assert len(principal.token_id) == len("shop|") + 64


@pytest.mark.parametrize("scope", [None, 7, {"a": 1}, ["pictures", 7]])
def test_scope_has_no_meaning_if_another_claim_grants(scope: object) -> None:
    token = theirs({"scope": scope, "groups": ["boss"]})
    assert accepted(token, scope_claim="groups").scopes == {Scope.ADMIN, Scope.METRICS}


def test_several_claims_grant_together() -> None:
    token = theirs({"scope": None, "scp": "pictures other", "roles": ["boss", 7]})
    everything = {Scope.CLASSIFY, Scope.ADMIN, Scope.METRICS}
    assert accepted(token, scope_claim=["scp", "roles"]).scopes == everything
    assert accepted(token, scope_claim=["scp"]).scopes == {Scope.CLASSIFY}
    assert not accepted(token, scope_claim=[]).scopes


def test_another_claim_may_name_the_audience() -> None:
    token = theirs({"aud": None, "client_id": "potoo"})
    assert accepted(token, audience_claim="client_id").client_id == "potoo"
    refused(token, "not made for this server")
    refused(theirs({"client_id": "other"}), "not made for", audience_claim="client_id")
    refused(theirs(), "not made for this server", audience_claim="client_id")


def test_any_configured_audience_is_accepted() -> None:
    token = theirs({"aud": "second"})
    assert accepted(token, audience=["first", "second"]).name == "shop|anna"
    refused(token, "not made for this server", audience=["first"])


REQUIRED = {"typ": "Bearer", "email_verified": True, "level": 1, "firebase.sign_in_provider": "password"}  # fmt: skip
SAID: dict[str, object] = {
    "typ": "Bearer",
    "email_verified": True,
    "level": 1,
    "firebase": {"sign_in_provider": "password"},
}


def test_token_with_all_configured_claims_is_accepted() -> None:
    assert accepted(theirs(SAID), required_claims=REQUIRED).name == "shop|anna"


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "ID"},
        {"typ": ["Bearer"]},
        {"typ": None},
        {"email_verified": False},
        {"email_verified": 1},
        {"email_verified": "true"},
        {"level": True},
        {"level": 1.0},
        {"firebase": {"sign_in_provider": "anonymous"}},
        {"firebase": {}},
        {"firebase": "password"},
        {"firebase": None},
    ],
    ids=str,
)
def test_token_with_a_different_required_claim_is_refused(changes: dict[str, object]) -> None:
    refused(theirs(SAID | changes), required_claims=REQUIRED)


def test_deeply_nested_claims_are_accepted() -> None:
    deep = json.loads("[" * 400 + "]" * 400)
    assert accepted(theirs({"deep": deep})).name == "shop|anna"
