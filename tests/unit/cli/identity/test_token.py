"""``potoo token``."""

from __future__ import annotations

from pathlib import Path

import pytest

from auth.principal import Principal
from schemas.errors import Unauthenticated
from tests.support.auth.forge import members
from tests.unit.cli.conftest import Potoo, add, failed, inside


def principal(data_dir: Path, token: str) -> Principal:
    return inside(data_dir, lambda identity: identity.authenticator.authenticate(token))


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
def test_token_command_prints_one_token(
    potoo: Potoo, data_dir: Path, arguments: tuple[str, ...], seconds: int, scope: str
) -> None:
    add(potoo, data_dir, "anna")
    result = potoo("token", "--user", "anna", *arguments, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    token = result.stdout.strip()
    assert principal(data_dir, token).name == "anna"
    _, claims = members(token)
    assert isinstance(claims["exp"], int)
    assert isinstance(claims["iat"], int)
    assert claims["exp"] - claims["iat"] == seconds
    assert claims["scope"] == scope


def test_token_uses_the_configured_audience(
    potoo: Potoo, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(potoo, data_dir, "anna")
    monkeypatch.setenv("POTOO_AUTH__AUDIENCE", "elsewhere")
    token = potoo("token", "--user", "anna", "--data-dir", data_dir).stdout.strip()
    assert members(token)[1]["aud"] == "elsewhere"


def test_token_is_limited_to_the_accounts_models(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna", "--model", "plants")
    token = potoo("token", "--user", "anna", "--data-dir", data_dir).stdout.strip()
    assert principal(data_dir, token).models == frozenset({"plants"})


def test_client_can_get_a_token(potoo: Potoo, data_dir: Path) -> None:
    potoo("clients", "add", "camera", "--data-dir", data_dir)
    token = potoo("token", "--user", "camera", "--data-dir", data_dir).stdout.strip()
    assert principal(data_dir, token).client_id == "camera"


@pytest.mark.parametrize(
    "ttl", ["0s", "25h", "15", "m", "", "-5m", "1.5h", "15 m", "1d", "9999999h"]
)
def test_invalid_ttl_is_refused(potoo: Potoo, data_dir: Path, ttl: str) -> None:
    add(potoo, data_dir, "anna")
    result = potoo("token", "--user", "anna", f"--ttl={ttl}", "--data-dir", data_dir)
    failed(result, "--ttl takes a number with the unit s, m or h: from 1s to 24h")


def test_token_for_unknown_account_or_scope_is_refused(potoo: Potoo, data_dir: Path) -> None:
    token = ("token", "--data-dir", data_dir, "--user")
    failed(potoo(*token, "anna"), "there are no accounts in")
    assert not data_dir.exists()
    add(potoo, data_dir, "anna")
    failed(potoo(*token, "bert"), "there is no active account 'bert'")
    failed(potoo(*token, "anna", "--scope", "admin"), "anna does not have the scope admin")
    failed(
        potoo(*token, "anna", "--scope", "root"),
        "scopes are admin, cameras, classify, infer, ingest",
    )


def test_disabled_account_gets_no_token(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    potoo("users", "disable", "anna", "--data-dir", data_dir)
    failed(
        potoo("token", "--user", "anna", "--data-dir", data_dir),
        "there is no active account 'anna'",
    )


def test_password_change_revokes_the_token(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    token = potoo("token", "--user", "anna", "--data-dir", data_dir).stdout.strip()
    change = ("users", "password", "anna", "--password-stdin", "--data-dir", data_dir)
    assert potoo(*change, stdin="another password\n").exit_code == 0
    with pytest.raises(Unauthenticated, match="The access token was revoked"):
        principal(data_dir, token)


def test_unsafe_key_file_is_reported_in_one_line(potoo: Potoo, data_dir: Path) -> None:
    add(potoo, data_dir, "anna")
    (key,) = (data_dir / "keys").glob("*.pem")
    key.chmod(0o644)
    failed(potoo("token", "--user", "anna", "--data-dir", data_dir), "chmod 600")
