"""``potoo clients``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from auth.passwords import verify_password
from auth.principal import Origin, Scope
from auth.store.accounts import Kind
from schemas.errors import InvalidCredentials, Unauthenticated
from service.runtime.identity import Identity
from tests.unit.cli.conftest import Potoo, account, add, failed, inside

CAMERA = Origin("192.0.2.9")
SECRET = re.compile(r"pcs_[A-Za-z0-9_-]{43}\n")


def made(potoo: Potoo, data_dir: Path, *arguments: str) -> str:
    """Add the client ``camera``; return its secret."""
    result = potoo("clients", "add", "camera", *arguments, "--data-dir", data_dir)
    assert result.exit_code == 0
    assert SECRET.fullmatch(result.stdout), "the secret, for scripts, and nothing else"
    return str(result.stdout.strip())


def token(data_dir: Path, secret: str) -> str:
    """Sign in as the camera."""

    async def sign_in(identity: Identity) -> str:
        issued = await identity.grants.client_credentials("camera", secret, None, CAMERA)
        assert issued.refresh_token is None
        return issued.access_token

    return inside(data_dir, sign_in)


def is_dead(data_dir: Path, given: str) -> bool:
    """Whether an access token is revoked."""

    async def tried(identity: Identity) -> bool:
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(given)
        return True

    return inside(data_dir, tried)


def test_weight_of_a_client_is_in_its_next_token(potoo: Potoo, data_dir: Path) -> None:
    secret = made(potoo, data_dir, "--weight", "3")
    first = token(data_dir, secret)
    potoo("clients", "change", "camera", "--weight", "9", "--data-dir", data_dir)
    second = token(data_dir, secret)

    async def weights(identity: Identity) -> list[int]:
        found = [await identity.authenticator.authenticate(given) for given in (first, second)]
        return [principal.weight for principal in found]

    assert inside(data_dir, weights) == [3, 9]


def test_added_client_secret_is_shown_once_and_stored_hashed(potoo: Potoo, data_dir: Path) -> None:
    secret = made(potoo, data_dir)
    added = account(data_dir, "camera")
    assert (added.kind, added.may_introspect, added.models) == (Kind.CLIENT, False, None)
    assert added.scopes == {Scope.CLASSIFY, Scope.MODELS_READ}
    assert verify_password(added.secret_hash, secret)
    for file in data_dir.glob("potoo.db*"):
        assert secret.encode() not in file.read_bytes()
    assert token(data_dir, secret)


def test_client_permissions_can_be_chosen(potoo: Potoo, data_dir: Path) -> None:
    made(potoo, data_dir, "--scope", "stream", "--model", "plants", "--introspect")
    added = account(data_dir, "camera")
    assert (added.scopes, added.models) == (frozenset({Scope.STREAM}), frozenset({"plants"}))
    assert added.may_introspect


def test_invalid_clients_are_refused(potoo: Potoo, data_dir: Path) -> None:
    command = ("clients", "add", "--data-dir", data_dir)
    failed(potoo(*command, "camera", "--scope", "root"), "'root' is not a valid Scope")
    assert not data_dir.exists()
    failed(potoo(*command, "a\tb"), "A name has 1 to 100 printable characters and no '|'")
    made(potoo, data_dir)
    failed(potoo(*command, "camera"), "An account with this name exists already")
    failed(add(potoo, data_dir, "camera"), "An account with this name exists already")


def test_clients_are_listed_without_their_hashes(potoo: Potoo, data_dir: Path) -> None:
    failed(potoo("clients", "list", "--data-dir", data_dir), "there are no accounts in")
    add(potoo, data_dir, "anna")
    assert potoo("clients", "list", "--data-dir", data_dir).stdout == ""
    secret = made(potoo, data_dir)
    (line,) = potoo("clients", "list", "--data-dir", data_dir).stdout.splitlines()
    assert line.split("\t")[:3] == ["camera", "classify models:read", "active"]
    assert "argon2" not in line
    assert secret not in line


def test_rotated_secret_replaces_the_old_one_and_its_tokens(potoo: Potoo, data_dir: Path) -> None:
    old = made(potoo, data_dir)
    before = token(data_dir, old)
    result = potoo("clients", "rotate-secret", "camera", "--data-dir", data_dir)
    assert result.exit_code == 0
    assert SECRET.fullmatch(result.stdout)
    new = result.stdout.strip()
    assert new != old
    assert is_dead(data_dir, before)
    with pytest.raises(InvalidCredentials):
        token(data_dir, old)
    after = token(data_dir, new)
    principal = inside(data_dir, lambda identity: identity.authenticator.authenticate(after))
    assert principal.name == "camera", "even in the second in which the old one died"


def test_removed_client_cannot_authenticate(potoo: Potoo, data_dir: Path) -> None:
    secret = made(potoo, data_dir)
    before = token(data_dir, secret)
    result = potoo("clients", "remove", "camera", "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "removed camera\n")
    assert is_dead(data_dir, before)
    with pytest.raises(InvalidCredentials):
        token(data_dir, secret)
    assert potoo("clients", "list", "--data-dir", data_dir).stdout == ""


def test_unknown_or_person_account_cannot_be_changed_as_a_client(
    potoo: Potoo, data_dir: Path
) -> None:
    for verb in ("rotate-secret", "remove"):
        failed(potoo("clients", verb, "camera", "--data-dir", data_dir), "there are no accounts in")
    assert not data_dir.exists()
    add(potoo, data_dir, "anna")
    before = account(data_dir)
    for name in ("camera", "anna", "", "a|b"):
        for verb in ("rotate-secret", "remove"):
            failed(
                potoo("clients", verb, name, "--data-dir", data_dir), "no account with this name"
            )
    assert account(data_dir) == before
