"""Commands on accounts use the store of the installed service, and do not create another one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.shared import service_settings
from service.cli.shared.service_settings import ServiceUnreadable, account_settings
from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.unit.cli.conftest import PASSWORD, Potoo, account

VARIABLES = ("POTOO_DATA_DIR", "POTOO_AUTH__AUDIENCE", "POTOO_ADMIN_PASSWORD", "POTOO_PUBLIC_URL")

OWNER = 12345
AS_ROOT = """
import os, sys
from pathlib import Path
from service.cli.shared import (service_settings, options as shared_options)
etc, service_settings.STATE = map(Path, sys.argv[1:])
service_settings.UNIT = service_settings.ENVIRONMENT_FILE = etc / "potoo.env"
service_settings.SECRETS = etc / "secrets"
folder = service_settings.account_settings(None, None).data_dir
(folder / "potoo.db").touch()
print(os.getresuid(), os.getresgid(), os.getgroups(), shared_options.acting_user())
"""


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``/etc/potoo`` of a machine with the service; the current folder is another one."""
    for name in VARIABLES:  # restored after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    folder = tmp_path / "etc"
    (folder / "secrets").mkdir(parents=True)
    monkeypatch.setattr(service_settings, "UNIT", tmp_path / "unit")
    monkeypatch.setattr(service_settings, "ENVIRONMENT_FILE", folder / "potoo.env")
    monkeypatch.setattr(service_settings, "SECRETS", folder / "secrets")
    monkeypatch.setattr(service_settings, "STATE", tmp_path / "state")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "unit").touch()
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_user_is_added_to_the_store_of_the_service(potoo: Potoo, etc: Path, tmp_path: Path) -> None:
    added = potoo("users", "add", "anna", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert added.exit_code == 0, added.stderr
    assert not list(Path().iterdir()), "a second store"
    assert account(tmp_path / "state").name == "anna"
    assert etc.exists()


def test_settings_come_from_the_environment_file_and_the_secrets(etc: Path, tmp_path: Path) -> None:
    lines = ["# of the service", "OTHER=1", f'POTOO_DATA_DIR="{tmp_path}/a b"', ""]
    (etc / "potoo.env").write_text("\n".join([*lines, "POTOO_PUBLIC_URL=https://potoo.example"]))
    (etc / "secrets" / "auth__audience").write_text("cameras\n")
    settings = account_settings(None, None)
    assert settings.data_dir == tmp_path / "a b"
    assert (settings.public_url, settings.auth.audience) == ("https://potoo.example", "cameras")
    assert "OTHER" not in os.environ


@pytest.mark.parametrize("how", ["option", "environment", "store"])
def test_named_store_goes_before_that_of_the_service(
    etc: Path, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert etc.exists()
    mine = tmp_path / "mine"
    if how == "environment":
        monkeypatch.setenv("POTOO_DATA_DIR", str(mine))
    elif how == "store":
        mine = Path("potoo-data")
        mine.mkdir()
        (mine / "potoo.db").touch()
    assert account_settings(None, mine if how == "option" else None).data_dir == mine


def test_without_a_service_the_store_is_in_the_present_folder(etc: Path, tmp_path: Path) -> None:
    (tmp_path / "unit").unlink()
    assert not (etc / "potoo.env").exists()
    assert account_settings(None, None).data_dir == Path("potoo-data")


def test_unreadable_settings_are_not_guessed(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    (etc / "potoo.env").touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ServiceUnreadable, match=r"potoo\.env, which you may not read: use sudo"):
        account_settings(None, None)


@pytest.mark.process
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_owner_of_the_data_folder(open_folder: Path) -> None:
    etc, state = open_folder / "etc", open_folder / "state"
    for folder in (etc, state):
        folder.mkdir()
    (etc / "potoo.env").touch()
    os.chown(state, OWNER, OWNER)
    done = subprocess.run(
        [sys.executable, "-c", AS_ROOT, str(etc), str(state)],
        cwd=open_folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    three = (OWNER,) * 3
    assert done.stdout == f"{three} {three} {[OWNER]} cli:root\n"
    assert (state / "potoo.db").stat().st_uid == OWNER


def test_paths_are_those_of_the_shipped_unit() -> None:
    unit = (ROOT / "deploy/systemd/potoo.service").read_text()
    assert re.search(r"^EnvironmentFile=-/etc/potoo/potoo\.env$", unit, re.MULTILINE)
    assert re.search(r"^LoadCredential=potoo:/etc/potoo/secrets$", unit, re.MULTILINE)
    assert "POTOO_DATA_DIR=%S/potoo" in unit
    assert Path("/etc/potoo/potoo.env") == service_settings.ENVIRONMENT_FILE
    assert Path("/etc/potoo/secrets") == service_settings.SECRETS
    assert Path("/var/lib/potoo") == service_settings.STATE
