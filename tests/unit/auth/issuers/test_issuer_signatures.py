"""Types, algorithms and keys of tokens from a foreign issuer."""

from __future__ import annotations

import json

import pytest

from auth.signing.verifier import UnknownKey
from tests.support.auth.foreign import (
    ISSUER,
    THEIR_CLAIMS,
    THEIR_HEADER,
    accepted,
    refused,
    theirs,
)
from tests.support.auth.forge import (
    HEADER,
    KEY,
    PRIVATE,
    RSA_PRIVATE,
    STRANGER,
    signature,
    token,
    uncanonical,
    without,
)
from tests.support.servers.issuer import b64, published_key, signed


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


def test_non_canonical_base64_in_an_issuer_token_is_refused() -> None:
    head, body, tail = theirs({"jti": "1"}).split(".")  # of a length that leaves bits unused
    accepted(f"{head}.{body}.{tail}")
    refused(f"{head}.{body}.{uncanonical(tail)}")
    text = f"{head}.{uncanonical(body)}"
    refused(f"{text}.{b64(signature(text, STRANGER))}")
