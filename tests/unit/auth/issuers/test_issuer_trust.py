"""Limits of the trust in an issuer: its own users, and the configured scopes."""

from __future__ import annotations

import re
import tomllib

import pytest

from auth.issuer_settings import IssuerSettings
from auth.principal import Principal, Scope
from auth.settings import AuthSettings
from auth.signing.tokens import verification_key
from auth.signing.verifier import UnknownKey
from schemas.errors import Unauthenticated
from tests.support.auth.foreign import (
    ISSUER,
    accepted,
    known,
    refused,
    theirs,
    trust,
)
from tests.support.auth.forge import (
    CLAIMS,
    HEADER,
    NOW,
    PRIVATE,
    RSA_PRIVATE,
    STRANGER,
    token,
    verifier,
)
from tests.support.repository import ROOT
from tests.support.servers.issuer import published_key, signed

# Issuers are separate


def test_issuer_key_cannot_sign_local_tokens() -> None:
    """A token with Potoo's issuer is verified only with Potoo's keys."""
    refused(token(header=HEADER | {"kid": "theirs"}, private=STRANGER))
    refused(token(private=STRANGER))


def test_local_key_cannot_sign_issuer_tokens() -> None:
    """A token with the issuer's name is not verified with Potoo's keys."""
    with pytest.raises(UnknownKey):
        accepted(token(claims=CLAIMS | {"iss": ISSUER}))
    refused(token(HEADER | {"kid": "theirs"}, CLAIMS | {"iss": ISSUER}))


def test_issuer_key_cannot_sign_for_another_issuer() -> None:
    other = trust(name="other", issuer="https://other.example")
    keys = known(trust(), other)
    keys.known[other.issuer] = (other, known(other, same=PRIVATE).known[other.issuer][1])
    both = verifier(issuers=keys)
    assert both.verify(theirs()).name == "shop|anna"
    with pytest.raises(UnknownKey):
        both.verify(theirs({"iss": other.issuer}))
    keys.known[other.issuer][1]["theirs"] = verification_key(
        published_key(PRIVATE, "theirs"), "ES256"
    )
    with pytest.raises(Unauthenticated):
        both.verify(theirs({"iss": other.issuer}))
    assert both.verify(theirs({"iss": other.issuer}, private=PRIVATE)).name == "other|anna"


@pytest.mark.parametrize(
    "issuers",
    [
        [trust(), trust(issuer="https://other.example")],
        [trust(), trust(name="other")],
        [trust(issuer="https://potoo.example")],
    ],
    ids=["same name", "same URL", "ours"],
)
def test_duplicate_issuer_name_or_url_is_refused(issuers: list[IssuerSettings]) -> None:
    with pytest.raises(ValueError, match="same name or URL"):
        AuthSettings(issuer="https://potoo.example", issuers=tuple(issuers))


def test_issuer_name_with_a_bar_is_refused() -> None:
    """Otherwise a subject could be read as part of another issuer's name."""
    with pytest.raises(ValueError, match="pattern"):
        trust(name="shop|anna")


# Granted scopes

NAMESPACED = "https://shop.example/claims/roles"


@pytest.mark.parametrize(
    ("claim", "said", "scopes"),
    [
        ("scope", {"scope": "pictures"}, {Scope.CLASSIFY}),
        ("scope", {"scope": " boss  pictures boss "}, {"admin", "metrics", "classify"}),
        ("scope", {"scope": ["pictures", "boss"]}, {"admin", "metrics", "classify"}),
        ("scope", {"scope": "classify admin"}, set()),
        ("scope", {"scope": "Pictures"}, set()),
        ("scope", {"scope": ""}, set()),
        ("permissions", {"permissions": ["pictures"]}, {Scope.CLASSIFY}),
        ("permissions", {"permissions": ["pictures boss", 7, None, ["boss"]]}, set()),
        ("permissions", {"permissions": {"boss": True}}, set()),
        ("permissions", {"permissions": True}, set()),
        ("permissions", {}, set()),
        ("realm_access.roles", {"realm_access": {"roles": ["boss"]}}, {"admin", "metrics"}),
        ("realm_access.roles", {"realm_access": ["boss"]}, set()),
        ("realm_access.roles", {"realm_access": None}, set()),
        ("realm_access.roles", {"roles": ["boss"]}, set()),
        ("a.b.c", {"a": {"b": {"c": "boss"}}}, {"admin", "metrics"}),
        (NAMESPACED, {NAMESPACED: ["pictures"]}, {Scope.CLASSIFY}),
    ],
)  # fmt: skip
def test_claim_values_grant_the_configured_scopes(
    claim: str, said: dict[str, object], scopes: set[Scope]
) -> None:
    assert accepted(theirs(said), scope_claim=claim).scopes == scopes


def test_default_scopes_are_granted_to_every_token() -> None:
    plain, boss = theirs({"scope": "unknown"}), theirs({"scope": "boss"})
    assert accepted(plain, default_scopes=["models:read"]).scopes == {Scope.MODELS_READ}
    assert accepted(boss, default_scopes=["models:read"]).scopes == {
        *(Scope.MODELS_READ, Scope.ADMIN, Scope.METRICS)
    }


def test_issuer_grants_no_scope_by_default() -> None:
    assert accepted(theirs({"scope": "classify admin"}), scopes={}).scopes == frozenset()


def test_unknown_scope_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="classify"):
        trust(scopes={"pictures": ["everything"]})


# Documented settings, with tokens of well-known issuers

DOCUMENTED = {
    issuer.name: issuer
    for block in re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs/operating/issuers.md").read_text(), flags=re.DOTALL
    )
    for issuer in AuthSettings.model_validate(tomllib.loads(block)["auth"]).issuers
}
KEYCLOAK: dict[str, object] = {
    "iss": "https://sso.example.com/realms/shop", "exp": NOW + 300, "iat": NOW, "jti": "onrtac:3b1c",
    "aud": ["potoo", "account"], "sub": "8d3f1c9e-0000-4000-8000-000000000000", "typ": "Bearer",
    "azp": "app", "sid": "c1", "acr": "1", "allowed-origins": ["*"], "scope": "openid email",
    "realm_access": {"roles": ["offline_access", "photographer"]}, "email_verified": True,
    "resource_access": {"account": {"roles": ["view-profile"]}}, "preferred_username": "anna",
}  # fmt: skip
AUTH0: dict[str, object] = {
    "iss": "https://TENANT.eu.auth0.com/", "sub": "auth0|65a1", "client_id": "aBcD", "scope": "openid",
    "aud": ["https://potoo.example.com", "https://TENANT.eu.auth0.com/userinfo"], "jti": "73Wakr",
    "iat": NOW, "exp": NOW + 86_400, "permissions": ["classify:images"],
}  # fmt: skip
FIREBASE: dict[str, object] = {
    "iss": "https://securetoken.google.com/PROJECT", "aud": "PROJECT", "auth_time": NOW - 60,
    "user_id": "uGnR", "sub": "uGnR", "iat": NOW - 1, "exp": NOW + 3599, "email": "a@shop.example",
    "email_verified": True, "picture": "https://lh3.example/a/x=s96-c", "name": "Anna",
    "firebase": {"identities": {"google.com": ["1"], "email": ["a@shop.example"]}, "sign_in_provider": "google.com"},
}  # fmt: skip
COGNITO: dict[str, object] = {
    "iss": "https://cognito-idp.REGION.amazonaws.com/POOL", "sub": "aaaa-bbbb", "client_id": "APP-CLIENT",
    "token_use": "access", "scope": "openid potoo/classify", "auth_time": NOW - 5, "iat": NOW - 5,
    "exp": NOW + 3595, "jti": "3b1c", "origin_jti": "9d2e", "event_id": "7f", "version": 2, "username": "anna",
}  # fmt: skip
ENTRA: dict[str, object] = {
    "iss": "https://sts.windows.net/TENANT/", "aud": "api://potoo", "sub": "AAAAAA_x", "appid": "CALLING-APP",
    "scp": "classify", "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 4000, "uti": "f-q", "ver": "1.0",
}  # fmt: skip
CLASSIFY = {Scope.CLASSIFY, Scope.MODELS_READ}


def documented(name: str, claims: dict[str, object], typ: str) -> Principal:
    header = {"alg": "RS256", "typ": typ, "kid": "their_rsa"}
    issuers = known(DOCUMENTED[name])
    return verifier(issuers=issuers).verify(signed(header, claims, RSA_PRIVATE))


def test_documented_issuers_are_complete() -> None:
    assert set(DOCUMENTED) == {"sso", "keycloak", "auth0", "firebase", "cognito", "entra"}


@pytest.mark.parametrize(
    ("name", "claims", "typ", "scopes"),
    [
        ("keycloak", KEYCLOAK, "JWT", CLASSIFY),
        ("auth0", AUTH0, "at+jwt", CLASSIFY),
        ("firebase", FIREBASE, "JWT", {Scope.CLASSIFY}),
        ("firebase", FIREBASE | {"potoo": ["admin"]}, "JWT", {Scope.CLASSIFY, Scope.ADMIN}),
        ("cognito", COGNITO, "", CLASSIFY),
        ("entra", ENTRA, "JWT", CLASSIFY),
        ("entra", ENTRA | {"roles": ["Camera"], "scp": None}, "JWT", {Scope.CLASSIFY}),
    ],
)
def test_documented_settings_accept_their_issuers_tokens(
    name: str, claims: dict[str, object], typ: str, scopes: set[Scope]
) -> None:
    principal = documented(name, claims, typ)
    assert principal.name == f"{name}|{claims['sub']}"
    assert principal.scopes == scopes


@pytest.mark.parametrize(
    ("name", "claims", "typ"),
    [
        ("keycloak", KEYCLOAK | {"typ": "ID"}, "JWT"),
        ("keycloak", KEYCLOAK | {"typ": "Refresh"}, "JWT"),
        ("keycloak", KEYCLOAK | {"aud": "account"}, "JWT"),
        ("auth0", AUTH0, "JWT"),
        ("auth0", AUTH0 | {"aud": "aBcD"}, "at+jwt"),
        ("firebase", FIREBASE | {"email_verified": False}, "JWT"),
        ("firebase", FIREBASE | {"aud": "OTHER"}, "JWT"),
    ],
)
def test_documented_settings_refuse_other_tokens(
    name: str, claims: dict[str, object], typ: str
) -> None:
    with pytest.raises(Unauthenticated):
        documented(name, claims, typ)
