"""``potoo users``."""

from __future__ import annotations

import json
import os
import pwd
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auth.passwords import verify_password
from auth.principal import Origin, Scope
from auth.store.accounts import Kind
from schemas.errors import InvalidCredentials, Unauthenticated
from service.runtime.identity import Identity
from tests.unit.cli.conftest import PASSWORD, Potoo, account, add, failed, inside

PHONE = Origin("192.0.2.1", "Anna's phone")


def tokens(data_dir: Path, name: str = "anna") -> tuple[str, str]:
    """Sign in on a phone; return access and refresh token."""

    async def sign_in(identity: Identity) -> tuple[str, str]:
        issued = await identity.grants.password(name, PASSWORD, None, PHONE)
        return issued.access_token, issued.refresh_token or ""

    return inside(data_dir, sign_in)


def are_dead(data_dir: Path, given: tuple[str, str]) -> bool:
    """Whether both tokens are invalid."""

    async def tried(identity: Identity) -> bool:
        with pytest.raises(Unauthenticated):
            await identity.authenticator.authenticate(given[0])
        with pytest.raises(InvalidCredentials):
            await identity.grants.refresh(given[1], None, PHONE)
        return True

    return inside(data_dir, tried)


def test_account_is_added_with_a_password_from_standard_input(potoo: Potoo, data_dir: Path) -> None:
    result = add(potoo, data_dir, "anna")
    assert (result.exit_code, result.stdout) == (0, "added anna: classify models:read\n")
    added = account(data_dir)
    assert verify_password(added.secret_hash, PASSWORD)
    assert (added.kind, added.models, added.is_disabled) == (Kind.PERSON, None, False)
    assert added.scopes == {Scope.CLASSIFY, Scope.MODELS_READ}
    for file in data_dir.glob("potoo.db*"):
        assert PASSWORD.encode() not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nanother line\n"])
def test_line_ending_is_stripped_from_the_password(
    potoo: Potoo, data_dir: Path, ending: str
) -> None:
    assert add(potoo, data_dir, "anna", stdin=f" {PASSWORD} {ending}").exit_code == 0
    assert verify_password(account(data_dir).secret_hash, f" {PASSWORD} ")


def test_password_can_be_typed_twice(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        "users", "add", "anna", "--data-dir", data_dir, stdin=f"{PASSWORD}\n{PASSWORD}\n"
    )
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert verify_password(account(data_dir).secret_hash, PASSWORD)


def test_scopes_and_models_can_be_chosen(potoo: Potoo, data_dir: Path) -> None:
    chosen = (
        "--scope",
        "admin",
        "--scope",
        "models:write",
        "--model",
        "plants",
        "--model",
        "birds",
    )
    assert add(potoo, data_dir, "anna", *chosen).stdout == "added anna: admin models:write\n"
    assert account(data_dir).scopes == {Scope.ADMIN, Scope.MODELS_WRITE}
    assert account(data_dir).models == frozenset({"plants", "birds"})


def test_weight_is_stored_listed_and_changed(potoo: Potoo, data_dir: Path) -> None:
    assert add(potoo, data_dir, "anna", "--weight", "3").exit_code == 0
    assert account(data_dir).weight == 3
    changed = potoo("users", "change", "anna", "--weight", "5", "--data-dir", data_dir)
    assert changed.stdout == "changed anna: classify models:read, weight 5\n"
    assert account(data_dir).weight == 5
    listed = potoo("users", "list", "--data-dir", data_dir).stdout
    assert listed.rstrip("\n").split("\t")[-1] == "weight 5"


def test_scopes_can_be_changed(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna", "--weight", "3")
    changed = potoo("users", "change", "anna", "--scope", "infer", "--data-dir", data_dir)
    assert changed.stdout == "changed anna: infer, weight 3\n"
    assert account(data_dir).scopes == {Scope.INFER}


@pytest.mark.parametrize("weight", ["0", "101", "-1"])
def test_invalid_weight_is_refused(potoo: Potoo, data_dir: Path, weight: str) -> None:
    failed(add(potoo, data_dir, "anna", "--weight", weight), "A weight is a number from 1 to 100")
    add(potoo, data_dir, "anna")
    changed = potoo("users", "change", "anna", "--weight", weight, "--data-dir", data_dir)
    failed(changed, "A weight is a number from 1 to 100")
    assert account(data_dir).weight == 1


def test_change_without_anything_to_change_is_refused(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    failed(potoo("users", "change", "anna", "--data-dir", data_dir), "give --scope or --weight")
    failed(
        potoo("clients", "change", "anna", "--weight", "2", "--data-dir", data_dir),
        "There is no account with this name",
    )


def test_invalid_accounts_are_refused(potoo: Potoo, data_dir: Path) -> None:
    unknown = add(potoo, data_dir, "anna", "--scope", "root")
    failed(
        unknown, "'root' is not a valid Scope; scopes are admin, cameras, classify, infer, ingest"
    )
    for password in ("short\n", "", "p" * 1025):
        failed(add(potoo, data_dir, "anna", stdin=password), "a password has 8 to 1024 characters")
    assert not data_dir.exists()
    for name in ("a" * 101, "", "a\tb", "corp|anna"):
        failed(add(potoo, data_dir, name), "A name has 1 to 100 printable characters and no '|'")
    assert potoo("users", "list", "--data-dir", data_dir).stdout == ""


def test_taken_name_is_refused(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    again = add(potoo, data_dir, "anna", "--scope", "admin", stdin="another password")
    failed(again, "An account with this name exists already")
    assert verify_password(account(data_dir).secret_hash, PASSWORD)
    assert Scope.ADMIN not in account(data_dir).scopes


def test_non_utf8_password_is_refused_in_one_line(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        "users", "add", "anna", "--password-stdin", "--data-dir", data_dir, stdin=b"\xff" * 9
    )
    failed(result, "password")


def test_people_are_listed_without_password_hashes(potoo: Potoo, data_dir: Path) -> None:
    failed(potoo("users", "list", "--data-dir", data_dir), "there are no accounts in")
    for name in ("bert", "anna"):
        add(potoo, data_dir, name)
    potoo("clients", "add", "camera", "--data-dir", data_dir)
    potoo("users", "disable", "bert", "--data-dir", data_dir)
    lines = potoo("users", "list", "--data-dir", data_dir).stdout.splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["anna", "classify models:read", "active"],
        ["bert", "classify models:read", "disabled"],
    ]
    assert "argon2" not in "".join(lines)
    made = datetime.fromisoformat(lines[0].split("\t")[3])
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)


def test_password_change_signs_out_every_device(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    signed_in = tokens(data_dir)
    command = ("users", "password", "anna", "--password-stdin", "--data-dir", data_dir)
    failed(potoo(*command, stdin="short\n"), "a password has 8 to 1024 characters")
    result = potoo(*command, stdin="another password\n")
    told = "changed the password of anna; all devices are signed out\n"
    assert (result.exit_code, result.stdout) == (0, told)
    assert verify_password(account(data_dir).secret_hash, "another password")
    assert are_dead(data_dir, signed_in)


def test_disabled_account_is_refused_until_enabled(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    signed_in = tokens(data_dir)
    result = potoo("users", "disable", "anna", "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "disabled anna\n")
    assert account(data_dir).is_disabled
    assert are_dead(data_dir, signed_in)
    with pytest.raises(InvalidCredentials):
        tokens(data_dir)
    result = potoo("users", "disable", "anna", "--undo", "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "enabled anna\n")
    assert all(tokens(data_dir))
    assert are_dead(data_dir, signed_in), "what was dead stays dead"


def test_removed_account_is_signed_out_and_never_restored(potoo: Potoo, data_dir: Path) -> None:
    for name in ("anna", "bert"):
        add(potoo, data_dir, name)
    signed_in = tokens(data_dir)
    result = potoo("users", "remove", "anna", "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (0, "removed anna\n")
    assert potoo("users", "list", "--data-dir", data_dir).stdout.startswith("bert\t")
    assert are_dead(data_dir, signed_in)
    assert add(potoo, data_dir, "anna").exit_code == 0
    assert are_dead(data_dir, signed_in), "another one of that name inherits nothing"


def test_last_administrator_cannot_be_disabled_or_removed(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna", "--scope", "admin")
    for verb in ("disable", "remove"):
        failed(potoo("users", verb, "anna", "--data-dir", data_dir), "the last administrator")
    add(potoo, data_dir, "bert", "--scope", "admin")
    assert potoo("users", "remove", "anna", "--data-dir", data_dir).exit_code == 0


def test_unknown_or_client_account_cannot_be_changed_as_a_person(
    potoo: Potoo, data_dir: Path
) -> None:
    potoo("clients", "add", "camera", "--data-dir", data_dir)
    for name in ("bert", "camera", "", "a\0b"):
        for verb in ("disable", "remove"):
            failed(potoo("users", verb, name, "--data-dir", data_dir), "no account with this name")
        command = ("users", "password", name, "--password-stdin", "--data-dir", data_dir)
        failed(potoo(*command, stdin="another password\n"), "no account with this name")
    assert not account(data_dir, "camera").is_disabled


def test_commands_without_accounts_create_no_data_folder(potoo: Potoo, data_dir: Path) -> None:
    for verb in ("disable", "remove"):
        failed(potoo("users", verb, "anna", "--data-dir", data_dir), "there are no accounts in")
    assert not data_dir.exists()


def test_file_as_data_folder_is_reported_in_one_line(potoo: Potoo, data_dir: Path) -> None:
    data_dir.write_text("a file")
    failed(potoo("users", "list", "--data-dir", data_dir), "there are no accounts in")
    failed(add(potoo, data_dir, "anna"), str(data_dir))


def test_unreachable_database_is_reported_with_its_reason(
    potoo: Potoo, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTOO_DATABASE_URL", f"postgresql://potoo:{PASSWORD}@127.0.0.1:1/potoo")
    failed(potoo("users", "list", "--data-dir", data_dir), "The store does not answer. ")
    monkeypatch.setenv("POTOO_DATABASE_URL", f"mysql://potoo:{PASSWORD}@127.0.0.1/potoo")
    failed(potoo("users", "list", "--data-dir", data_dir), "database_url: the database URL must be")


def test_changes_are_recorded_in_the_data_folder(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    for verb in (("disable", "anna"), ("list",), ("remove", "anna"), ("remove", "anna")):
        potoo("users", *verb, "--data-dir", data_dir)
    lines = (data_dir / ".audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    me = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    assert [(event["event"], event["account"], event["by"]) for event in events] == [
        ("account_added", "anna", me),
        ("account_changed", "anna", me),
        ("account_removed", "anna", me),
    ]
    assert PASSWORD not in "".join(lines)
