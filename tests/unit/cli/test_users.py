"""``potoo users`` and ``potoo token``."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from typer.testing import Result

from auth.keys import load_keys
from auth.passwords import verify_password
from auth.principal import Scope
from auth.settings import AuthSettings
from auth.store import Account
from auth.tokens import TokenCodec
from service.cli.users import with_store
from service.settings import load_settings
from tests.unit.cli.conftest import Potoo

PASSWORD = "correct horse"


def account(data_dir: Path, name: str = "anna") -> Account:
    found = with_store(load_settings(data_dir=data_dir), lambda store: store.get(name))
    assert found is not None
    return found


def add(potoo: Potoo, data_dir: Path, *arguments: str, stdin: str = f"{PASSWORD}\n") -> Result:
    return potoo(
        "users", "add", *arguments, "--password-stdin", "--data-dir", data_dir, stdin=stdin
    )


def failed(result: Result, message: str) -> None:
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("potoo: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert PASSWORD not in result.output


def test_an_account_is_added_with_the_password_from_standard_input(
    potoo: Potoo, data_dir: Path
) -> None:
    result = add(potoo, data_dir, "anna")
    assert (result.exit_code, result.stdout) == (0, "added anna: classify models:read\n")
    added = account(data_dir)
    assert verify_password(added.password_hash, PASSWORD)
    assert added.scopes == {Scope.CLASSIFY, Scope.MODELS_READ}
    assert PASSWORD.encode() not in (data_dir / "potoo.db").read_bytes()
    assert stat.S_IMODE((data_dir / "potoo.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nanother line\n"])
def test_the_line_end_is_no_part_of_the_password(potoo: Potoo, data_dir: Path, ending: str) -> None:
    assert add(potoo, data_dir, "anna", stdin=f" {PASSWORD} {ending}").exit_code == 0
    assert verify_password(account(data_dir).password_hash, f" {PASSWORD} ")


def test_the_password_may_be_typed_twice(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        "users", "add", "anna", "--data-dir", data_dir, stdin=f"{PASSWORD}\n{PASSWORD}\n"
    )
    assert result.exit_code == 0
    assert PASSWORD not in result.output
    assert verify_password(account(data_dir).password_hash, PASSWORD)


def test_scopes_may_be_chosen(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna", "--scope", "admin", "--scope", "classify")
    assert account(data_dir).scopes == {Scope.ADMIN, Scope.CLASSIFY}


def test_unfit_accounts_are_refused(potoo: Potoo, data_dir: Path) -> None:
    failed(
        add(potoo, data_dir, "anna", "--scope", "root"), "there are classify, models:read and admin"
    )
    failed(add(potoo, data_dir, "a" * 101), "a name has 1 to 100 printable characters")
    failed(add(potoo, data_dir, ""), "a name has 1 to 100 printable characters")
    failed(add(potoo, data_dir, "a\tb"), "a name has 1 to 100 printable characters")
    failed(add(potoo, data_dir, "anna", stdin="short\n"), "a password has 8 to 1024 characters")
    failed(add(potoo, data_dir, "anna", stdin=""), "a password has 8 to 1024 characters")
    failed(add(potoo, data_dir, "anna", stdin="p" * 1025), "a password has 8 to 1024 characters")
    assert not data_dir.exists()


def test_a_name_is_taken_once(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    failed(
        add(potoo, data_dir, "anna", stdin="another password"), "there is an account 'anna' already"
    )
    assert verify_password(account(data_dir).password_hash, PASSWORD)


def test_a_password_that_is_no_text_is_refused_in_one_line(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        "users", "add", "anna", "--password-stdin", "--data-dir", data_dir, stdin=b"\xff" * 9
    )
    failed(result, "password")


def test_accounts_are_listed_without_their_hashes(potoo: Potoo, data_dir: Path) -> None:
    failed(potoo("users", "list", "--data-dir", data_dir), "there are no accounts in")
    for name in ("bert", "anna"):
        add(potoo, data_dir, name)
    lines = potoo("users", "list", "--data-dir", data_dir).stdout.splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        ["anna", "classify models:read", "active"],
        ["bert", "classify models:read", "active"],
    ]
    assert "argon2" not in "".join(lines)


def test_a_password_is_changed(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    command = ("users", "password", "anna", "--password-stdin", "--data-dir", data_dir)
    result = potoo(*command, stdin="another password\n")
    assert (result.exit_code, result.stdout) == (0, "changed the password of anna\n")
    assert verify_password(account(data_dir).password_hash, "another password")
    failed(potoo(*command, stdin="short\n"), "a password has 8 to 1024 characters")
    unknown = ("users", "password", "bert", "--password-stdin", "--data-dir", data_dir)
    failed(potoo(*unknown, stdin="another password\n"), "there is no account 'bert'")


def claims(data_dir: Path, token: str) -> dict[str, object]:
    assert TokenCodec(load_keys(data_dir / "keys"), AuthSettings()).verify(token).name == "anna"
    payload: dict[str, object] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return payload


@pytest.mark.parametrize(
    ("arguments", "seconds", "scope"),
    [
        ((), 900, "classify models:read"),
        (("--ttl", "90s"), 90, "classify models:read"),
        (("--ttl", "8h"), 28_800, "classify models:read"),
        (("--ttl", "24h", "--scope", "classify"), 86_400, "classify"),
        (("--ttl", "1440m"), 86_400, "classify models:read"),
    ],
)
def test_a_token_for_scripts_is_one_line(
    potoo: Potoo, data_dir: Path, arguments: tuple[str, ...], seconds: int, scope: str
) -> None:
    add(potoo, data_dir, "anna")
    result = potoo("token", "--user", "anna", *arguments, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    found = claims(data_dir, result.stdout.strip())
    assert isinstance(found["exp"], int)
    assert isinstance(found["iat"], int)
    assert found["exp"] - found["iat"] == seconds
    assert found["scope"] == scope


def test_a_token_is_signed_with_the_settings_of_the_server(
    potoo: Potoo, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(potoo, data_dir, "anna")
    monkeypatch.setenv("POTOO_AUTH__AUDIENCE", "elsewhere")
    token = potoo("token", "--user", "anna", "--data-dir", data_dir).stdout.strip()
    payload = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert payload["aud"] == "elsewhere"


@pytest.mark.parametrize(
    "ttl", ["0s", "25h", "15", "m", "", "-5m", "1.5h", "15 m", "1d", "9999999h"]
)
def test_unfit_life_times_are_refused(potoo: Potoo, data_dir: Path, ttl: str) -> None:
    add(potoo, data_dir, "anna")
    result = potoo("token", "--user", "anna", f"--ttl={ttl}", "--data-dir", data_dir)
    failed(result, "--ttl is a number and s, m or h: at least 1s, at most 24h")


def test_tokens_are_made_for_accounts_and_their_scopes_alone(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    token = ("token", "--data-dir", data_dir, "--user")
    failed(potoo(*token, "bert"), "there is no active account 'bert'")
    failed(potoo(*token, "anna", "--scope", "admin"), "anna does not have the scope admin")
    failed(potoo(*token, "anna", "--scope", "root"), "there are classify, models:read and admin")


def test_an_unsafe_key_is_a_line_and_no_trace(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    potoo("token", "--user", "anna", "--data-dir", data_dir)
    (key,) = (data_dir / "keys").glob("*.pem")
    key.chmod(0o644)
    failed(potoo("token", "--user", "anna", "--data-dir", data_dir), "chmod 600")


def test_a_data_folder_that_is_a_file_is_a_line_and_no_trace(potoo: Potoo, data_dir: Path) -> None:
    data_dir.write_text("a file")
    failed(potoo("users", "list", "--data-dir", data_dir), "there are no accounts in")
