"""Access tokens as text: signing, parsing, verification."""

from __future__ import annotations

from dataclasses import fields

import pytest

from auth.keys import KeySet, SigningKey
from auth.principal import ALL_SCOPES, Scope
from auth.settings import AuthSettings
from auth.signing.tokens import (
    MAX_TOKEN_CHARS,
    UnverifiedToken,
    check_signature,
    parse_unverified,
    verification_key,
)
from schemas.errors import Unauthenticated
from tests.support.auth.forge import (
    CLAIMS,
    HEADER,
    KEY,
    NOW,
    RSA_KEY,
    SECRET,
    SECRET_KEY,
    STRANGER,
    Clock,
    as_key,
    hmac_token,
    members,
    rsa_token,
    signer,
    token,
    verifier,
)

KINDS = pytest.mark.parametrize("key", [KEY, RSA_KEY, SECRET_KEY], ids=lambda key: key.algorithm)


def test_issued_token_has_the_rfc_9068_claims() -> None:
    header, claims = members(signer().issue("bert", frozenset({Scope.ADMIN}), 60))
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
    assert len(str(claims.pop("jti"))) == 32
    assert claims == {
        "iss": "potoo",
        "sub": "bert",
        "aud": "potoo",
        "client_id": "bert",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
        "scope": "admin",
    }


def test_issued_token_names_client_session_and_models() -> None:
    issued = signer().issue(
        "bert",
        ALL_SCOPES,
        60,
        client_id="camera",
        session_id="the session",
        models=frozenset({"plants", "everyday"}),
    )
    _, claims = members(issued)
    assert (claims["sub"], claims["client_id"]) == ("bert", "camera")
    assert (claims["sid"], claims["models"]) == ("the session", ["everyday", "plants"])
    assert "weight" not in claims
    _, claims = members(signer().issue("bert", ALL_SCOPES, 60, weight=7))
    assert claims["weight"] == 7


def test_empty_model_list_stays_empty_in_the_token() -> None:
    _, claims = members(signer().issue("bert", ALL_SCOPES, 60, models=frozenset()))
    assert claims["models"] == []


def test_issuer_and_audience_come_from_the_settings() -> None:
    settings = AuthSettings(issuer="https://potoo.example", audience="the api")
    _, claims = members(signer(settings=settings).issue("bert", ALL_SCOPES, 60))
    assert (claims["iss"], claims["aud"]) == ("https://potoo.example", "the api")


def test_every_token_has_a_unique_id() -> None:
    issue = signer().issue
    ids = {str(members(issue("bert", ALL_SCOPES, 60))[1]["jti"]) for _ in range(50)}
    assert len(ids) == 50


def test_times_in_a_token_are_whole_seconds() -> None:
    _, claims = members(signer(clock=Clock(NOW + 0.9)).issue("bert", ALL_SCOPES, 60))
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)


@KINDS
def test_every_algorithm_verifies_its_own_signature(key: SigningKey) -> None:
    issued = signer(key).issue("bert", ALL_SCOPES, 60)
    assert members(issued)[0] == {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid}
    check_signature(parse_unverified(issued), verification_key(key.public, key.algorithm))
    assert verifier(key).verify(issued).name == "bert"


def test_signatures_of_another_implementation_are_accepted() -> None:
    assert verifier().verify(token()).name == "anna"
    assert verifier(RSA_KEY).verify(rsa_token(RSA_KEY.kid)).name == "anna"
    signed = hmac_token(SECRET.encode(), kid=SECRET_KEY.kid)
    assert verifier(SECRET_KEY).verify(signed).name == "anna"


def test_new_key_signs_after_a_key_change() -> None:
    issues, newer = signer(), as_key(STRANGER)
    issues.use(KeySet([newer]))
    issued = issues.issue("bert", ALL_SCOPES, 60)
    assert members(issued)[0]["kid"] == newer.kid
    check_signature(parse_unverified(issued), verification_key(newer.public, "ES256"))
    assert spoiled(parse_unverified(issued), KEY)


def test_unverified_token_is_parsed_without_checks() -> None:
    text = token(claims={**CLAIMS, "iss": "anybody", "exp": 0, "further": [1]}, private=STRANGER)
    parts = parse_unverified(text)
    assert (parts.text, parts.signed) == (text, text.rpartition(".")[0])
    assert parts.header.model_dump() == {**HEADER, "x5t": None}
    assert (parts.claims.iss, parts.claims.exp) == ("anybody", 0)
    assert parts.claims.model_dump()["further"] == [1]


def test_certificate_thumbprint_header_is_ignored() -> None:
    assert parse_unverified(token({**HEADER, "x5t": "AAAA"})).header.kid == KEY.kid


def test_token_is_accepted_up_to_the_length_limit() -> None:
    def padded(by: int) -> str:
        return token(claims={**CLAIMS, "x": "x" * by})

    room = (MAX_TOKEN_CHARS - len(padded(0))) * 3 // 4
    longest = max((padded(room + more) for more in range(-3, 3)), key=_if_short)
    assert MAX_TOKEN_CHARS - 1 <= len(longest) <= MAX_TOKEN_CHARS
    assert parse_unverified(longest).claims.sub == "anna"
    with pytest.raises(Unauthenticated):
        parse_unverified(padded(room + 4))


def _if_short(text: str) -> int:
    return len(text) if len(text) <= MAX_TOKEN_CHARS else 0


@KINDS
def test_key_verifies_only_with_its_own_algorithm(key: SigningKey) -> None:
    issued = parse_unverified(signer(key).issue("bert", ALL_SCOPES, 60))
    for other in {"ES256", "RS256", "HS256"} - {key.algorithm}:
        said = issued.header.model_copy(update={"alg": other})
        assert spoiled(UnverifiedToken(issued.text, said, issued.claims), key)
    for stranger in (KEY, RSA_KEY, SECRET_KEY, as_key(STRANGER)):
        if stranger != key:
            assert spoiled(issued, stranger)


@pytest.mark.parametrize(
    ("source", "algorithm"),
    [
        ("no key", "ES256"),
        ("", "RS256"),
        (KEY.public, "HS256"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "ES256"),
        ({"kty": "RSA", "n": "AQAB"}, "RS256"),
        ({}, "ES256"),
        ({"kty": "oct", "k": "AAAA"}, "none"),
    ],
    ids=["text", "empty", "pem", "elliptic", "rsa", "none", "symmetric"],
)
def test_unsuitable_key_for_the_algorithm_is_refused(
    source: str | dict[str, object], algorithm: str
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the library's
        verification_key(source, algorithm)


def test_key_of_another_type_verifies_no_token() -> None:
    """The library makes such a key, with which no token is valid, and no other error is raised."""
    for algorithm, text in (("RS256", rsa_token(KEY.kid)), ("ES256", token())):
        other = KEY if algorithm == "RS256" else RSA_KEY
        with pytest.raises(Unauthenticated):
            check_signature(parse_unverified(text), verification_key(other.public, algorithm))


def test_published_key_verifies_like_the_pem_key() -> None:
    for key in (KEY, RSA_KEY):
        assert key.jwk is not None
        published = verification_key(key.jwk.model_dump(), key.algorithm)
        check_signature(parse_unverified(signer(key).issue("bert", ALL_SCOPES, 60)), published)


def test_token_contains_no_secret() -> None:
    assert {field.name for field in fields(UnverifiedToken)} == {"text", "header", "claims"}
    issued = signer(SECRET_KEY).issue("bert", ALL_SCOPES, 60)
    assert SECRET not in str(members(issued))


def spoiled(parts: UnverifiedToken, key: SigningKey) -> bool:
    """Whether the signature is refused."""
    with pytest.raises(Unauthenticated) as caught:
        check_signature(parts, verification_key(key.public, key.algorithm))
    return type(caught.value) is Unauthenticated
