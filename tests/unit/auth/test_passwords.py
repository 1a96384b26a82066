"""Password hashes and the functions of ``principal``."""

from __future__ import annotations

import pytest

from auth.passwords import (
    MAX_PASSWORD_CHARS,
    MIN_PASSWORD_CHARS,
    NOBODY,
    hash_password,
    make_password,
    make_secret,
    verify_password,
)
from auth.principal import (
    ALL_SCOPES,
    DEFAULT_SCOPES,
    RESERVED_SCOPES,
    Principal,
    Scope,
    format_scopes,
    known_scopes,
    parse_scopes,
)

HASH = hash_password("correct horse")


def test_password_hash_matches_only_its_password() -> None:
    assert verify_password(HASH, "correct horse")
    for wrong in ("", "correct horse ", "Correct horse", "correct horse\0"):
        assert not verify_password(HASH, wrong)


def test_every_hash_has_its_own_salt() -> None:
    assert hash_password("correct horse") != HASH


def test_real_and_dummy_hashes_have_owasp_parameters() -> None:
    assert HASH.split("$")[1:4] == ["argon2id", "v=19", "m=19456,t=2,p=1"]
    for part, other in zip(HASH.split("$"), NOBODY.split("$"), strict=True):
        assert len(part) == len(other)
    assert NOBODY.split("$")[:4] == HASH.split("$")[:4]


@pytest.mark.parametrize("password", ["", "password", "potoo", "nobody"])
def test_dummy_hash_matches_no_obvious_password(password: str) -> None:
    assert not verify_password(NOBODY, password)


@pytest.mark.parametrize(
    "stored",
    ["", "garbage", "$argon2id$", "$2b$12$abc", HASH[:-4], HASH + "x"],
    ids=["empty", "garbage", "name", "bcrypt", "cut", "longer"],
)
def test_damaged_hash_matches_no_password(stored: str) -> None:
    assert not verify_password(stored, "correct horse")


def test_generated_passwords_are_long_and_unique() -> None:
    made = {make_password() for _ in range(100)}
    assert len(made) == 100
    assert all(MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS for password in made)
    assert all(len(password) == 20 for password in made), "120 bits in base64url"


def test_generated_secrets_are_prefixed_long_and_unique() -> None:
    made = {make_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("pcs_") for secret in made)
    assert all(len(secret) == 4 + 43 for secret in made), "256 bits in base64url"
    assert all(len(secret) <= MAX_PASSWORD_CHARS for secret in made)


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", set()),
        ("classify", {Scope.CLASSIFY}),
        ("  classify   models:read ", {Scope.CLASSIFY, Scope.MODELS_READ}),
        ("admin admin", {Scope.ADMIN}),
    ],
)
def test_scopes_are_parsed_from_space_separated_text(text: str, scopes: set[Scope]) -> None:
    assert parse_scopes(text) == scopes


@pytest.mark.parametrize("text", ["Classify", "classify,admin", "root", "classify root"])
def test_an_unknown_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Scope"):
        parse_scopes(text)


def test_scopes_round_trip_through_text() -> None:
    assert format_scopes(ALL_SCOPES) == (
        "admin cameras classify infer ingest metrics models:read models:write preprocess sensors"
        " stream teach train"
    )
    assert parse_scopes(format_scopes(ALL_SCOPES)) == ALL_SCOPES
    # Accounts of earlier versions have them.
    assert known_scopes("jobs other") == RESERVED_SCOPES


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", set()),
        ("classify future:scope", {Scope.CLASSIFY}),
        ("Classify ADMIN root", set()),
        (" admin  admin ", {Scope.ADMIN}),
    ],
)
def test_unknown_scopes_in_a_token_are_ignored(text: str, scopes: set[Scope]) -> None:
    assert known_scopes(text) == scopes


def test_default_scopes_are_classify_and_models_read() -> None:
    assert format_scopes(DEFAULT_SCOPES) == "classify models:read"


def test_principal_may_use_all_models_or_only_listed_ones() -> None:
    def principal(models: frozenset[str] | None) -> Principal:
        return Principal("anna", DEFAULT_SCOPES, "one", 0, models=models)

    assert principal(None).may_use("anything")
    assert principal(frozenset({"plants"})).may_use("plants")
    assert not principal(frozenset({"plants"})).may_use("Plants")
    assert not principal(frozenset()).may_use("plants")
