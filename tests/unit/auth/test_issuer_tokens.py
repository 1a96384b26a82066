"""Required claims and signatures of trusted issuers' tokens."""

from __future__ import annotations

import json

import pytest

from auth.principal import Principal, Scope
from auth.signing.verifier import UnknownKey
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
    HEADER,
    KEY,
    NOW,
    PRIVATE,
    RSA_PRIVATE,
    STRANGER,
    signature,
    token,
    without,
)
from tests.support.servers.issuer import b64, published_key, signed

# Who it is


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


# What it must say


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "iat", "exp"])
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
        ({"exp": NOW + 600.0}, "not valid"),
        ({"nbf": str(NOW)}, "not valid"),
    ],
    ids=str,
)
def test_times_audience_and_issuer_are_checked(claims: dict[str, object], message: str) -> None:
    refused(theirs(claims), message)


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


# How it must be signed


@pytest.mark.parametrize("typ", ["JWT", "id+jwt", "", "at"])
def test_id_token_type_is_refused_where_access_tokens_are_typed(typ: str) -> None:
    refused(theirs(header={"typ": typ}))


@pytest.mark.parametrize(
    ("types", "typ"),
    [
        (["JWT"], "jwt"),
        (["JWT"], "application/jwt"),
        (["application/at+jwt"], "at+jwt"),
        (["at+jwt", "JWT"], "JWT"),
    ],
)
def test_token_types_are_configured_per_issuer(types: list[str], typ: str) -> None:
    assert accepted(theirs(header={"typ": typ}), token_types=types).name == "shop|anna"


def test_untyped_token_is_accepted_only_if_configured() -> None:
    untyped = signed(without(THEIR_HEADER, "typ"), THEIR_CLAIMS, STRANGER)
    refused(untyped)
    refused(untyped, token_types=["JWT"])
    assert accepted(untyped, token_types=[""]).name == "shop|anna"
    refused(token(without(HEADER, "typ")))


def test_unlisted_algorithm_is_refused() -> None:
    by_rsa = theirs(header={"alg": "RS256", "kid": "their_rsa"}, private=RSA_PRIVATE)
    assert accepted(by_rsa, algorithms=["RS256"]).name == "shop|anna"
    refused(by_rsa, algorithms=["ES256"])
    refused(theirs(), algorithms=["RS256"])


@pytest.mark.parametrize("alg", ["none", "HS256", "RS384", "ES384", "EdDSA", "PS256", ""])
def test_unsupported_algorithm_is_refused_before_key_lookup(alg: str) -> None:
    refused(theirs(header={"alg": alg, "kid": "unknown"}))


def test_key_is_valid_only_for_its_own_algorithm() -> None:
    refused(theirs(header={"alg": "RS256"}))
    refused(theirs(header={"kid": "their_rsa"}, private=RSA_PRIVATE))


@pytest.mark.parametrize(
    "kid",
    ["unknown", "THEIRS", "../theirs", "' OR 1=1 --", KEY.kid],
    ids=["unknown", "capitals", "path", "sql", "ours"],
)
def test_unknown_key_id_raises_unknown_key(kid: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        accepted(theirs(header={"kid": kid}))
    assert caught.value.issuer == ISSUER


def test_certificate_thumbprint_header_is_ignored() -> None:
    assert (
        accepted(theirs(header={"x5t": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"})).name
        == "shop|anna"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jku", "https://attacker.example/jwks.json"),
        ("x5u", "https://attacker.example/cert.pem"),
        ("jwk", published_key(PRIVATE, "theirs")),
        ("x5c", ["MIIB"]),
        ("crit", ["exp"]),
        ("zip", "DEF"),
        ("x5t", 7),
    ],
)
def test_header_with_external_key_reference_is_refused(name: str, value: object) -> None:
    refused(theirs(header={name: value}))
    refused(theirs(header={name: value}, private=PRIVATE))


def test_invalid_signature_is_refused() -> None:
    good = theirs()
    head, body, _ = good.split(".")
    refused(theirs(private=PRIVATE))
    refused(f"{head}.{body}.{b64(bytes(64))}")
    refused(f"{head}.{body}.{theirs({'jti': 'two'}).split('.')[2]}")


def test_repeated_claim_in_an_issuer_token_is_refused() -> None:
    head = b64(json.dumps(THEIR_HEADER).encode())
    body = json.dumps(THEIR_CLAIMS)[:-1] + ', "sub": "root"}'
    text = f"{head}.{b64(body.encode())}"
    refused(f"{text}.{b64(signature(text, STRANGER))}")
