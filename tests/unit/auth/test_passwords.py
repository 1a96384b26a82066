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
    Principal,
    Scope,
    format_scopes,
    known_scopes,
    parse_scopes,
)

HASH = hash_password("correct horse")


def test_the_right_password_and_no_other_belongs_to_a_hash() -> None:
    assert verify_password(HASH, "correct horse")
    for wrong in ("", "correct horse ", "Correct horse", "correct horse\0"):
        assert not verify_password(HASH, wrong)


def test_every_hash_has_a_salt_of_its_own() -> None:
    assert hash_password("correct horse") != HASH


def test_hashes_cost_what_owasp_asks_for_and_nobodys_costs_the_same() -> None:
    assert HASH.split("$")[1:4] == ["argon2id", "v=19", "m=19456,t=2,p=1"]
    for part, other in zip(HASH.split("$"), NOBODY.split("$"), strict=True):
        assert len(part) == len(other)
    assert NOBODY.split("$")[:4] == HASH.split("$")[:4]


@pytest.mark.parametrize("password", ["", "password", "potoo", "nobody"])
def test_nobodys_password_is_not_an_obvious_one(password: str) -> None:
    assert not verify_password(NOBODY, password)


@pytest.mark.parametrize(
    "stored", ["", "garbage", "$argon2id$", "$2b$12$abc", HASH[:-4], HASH + "x"]
)
def test_a_damaged_hash_takes_no_password(stored: str) -> None:
    assert not verify_password(stored, "correct horse")


def test_made_passwords_are_long_and_never_the_same() -> None:
    made = {make_password() for _ in range(100)}
    assert len(made) == 100
    assert all(MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS for password in made)
    assert all(len(password) == 20 for password in made), "120 bits in base64url"


def test_made_secrets_are_longer_and_recognisable() -> None:
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
def test_scopes_are_read_as_oauth_writes_them(text: str, scopes: set[Scope]) -> None:
    assert parse_scopes(text) == scopes


@pytest.mark.parametrize("text", ["Classify", "classify,admin", "root", "classify root"])
def test_an_unknown_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Scope"):
        parse_scopes(text)


def test_scopes_survive_the_way_there_and_back() -> None:
    assert format_scopes(ALL_SCOPES) == (
        "admin classify infer jobs metrics models:read models:write stream train"
    )
    assert parse_scopes(format_scopes(ALL_SCOPES)) == ALL_SCOPES


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", set()),
        ("classify future:scope", {Scope.CLASSIFY}),
        ("Classify ADMIN root", set()),
        (" admin  admin ", {Scope.ADMIN}),
    ],
)
def test_what_a_token_says_beyond_the_known_scopes_grants_nothing(
    text: str, scopes: set[Scope]
) -> None:
    assert known_scopes(text) == scopes


def test_a_new_account_may_classify_and_see_the_models() -> None:
    assert format_scopes(DEFAULT_SCOPES) == "classify models:read"


def test_a_principal_may_use_all_models_or_those_that_are_named() -> None:
    def principal(models: frozenset[str] | None) -> Principal:
        return Principal("anna", DEFAULT_SCOPES, "one", 0, models=models)

    assert principal(None).may_use("anything")
    assert principal(frozenset({"plants"})).may_use("plants")
    assert not principal(frozenset({"plants"})).may_use("Plants")
    assert not principal(frozenset()).may_use("plants")
