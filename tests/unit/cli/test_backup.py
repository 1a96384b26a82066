"""``potoo backup`` and ``potoo restore``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import PASSWORD, Potoo, account, add, failed

PASSPHRASE = "correct horse battery"


@pytest.fixture
def filled(potoo: Potoo, data_dir: Path) -> Path:
    add(potoo, data_dir, "anna")
    return data_dir


def test_backup_is_written_verified_and_restored(
    potoo: Potoo, filled: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.backup"
    made = potoo("backup", file, "--with", "models,events", "--data-dir", filled)
    assert made.exit_code == 0, made.output
    assert "is not encrypted and holds secrets" in made.stderr
    assert "with\tmodels, events\n" in made.stdout.replace("events, models", "models, events")
    assert potoo("backup", "verify", file).stdout.endswith("verified\t2 files\n")
    shown = json.loads(potoo("backup", "show", "--json", file).stdout)
    assert [one["name"].split("/")[0] for one in shown["members"]] == ["database", "keys"]
    target = tmp_path / "other"
    assert potoo("restore", file, "--data-dir", target).exit_code == 0
    assert account(target).name == "anna"


def test_passphrase_is_read_from_a_file_or_the_environment(
    potoo: Potoo, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, secret = tmp_path / "a.backup", tmp_path / "passphrase"
    secret.write_text(f"{PASSPHRASE}\n")
    made = potoo("backup", file, "--passphrase-file", secret, "--data-dir", filled)
    assert (made.exit_code, made.stderr) == (0, "")
    assert PASSPHRASE not in made.output
    failed(potoo("backup", "verify", file), "is encrypted")
    monkeypatch.setenv("BACKUP_PASSPHRASE", PASSPHRASE)
    assert potoo("backup", "verify", file).exit_code == 0


def test_passphrase_is_asked_for_twice(potoo: Potoo, filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    typed = f"{PASSPHRASE}\n{PASSPHRASE}\n"
    made = potoo("backup", file, "--encrypt", "--data-dir", filled, stdin=typed)
    assert made.exit_code == 0
    assert file.read_bytes().startswith(b"potoo backup 1")
    short = potoo("backup", file, "--encrypt", "--data-dir", filled, stdin="short\nshort\n")
    assert "at least 12 characters" in short.stderr


def test_folder_keeps_the_newest_backups(potoo: Potoo, filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for day in ("01", "02", "03"):
        (folder / f"potoo-202011{day}T000000Z.backup").write_text("")
    (folder / "potoo-notes.backup").write_text("")
    made = potoo("backup", "--folder", folder, "--keep", "2", "--data-dir", filled)
    assert made.exit_code == 0, made.output
    names = sorted(file.name for file in folder.iterdir())
    assert (names[0], names[2:]) == ("potoo-20201103T000000Z.backup", ["potoo-notes.backup"])
    assert made.stdout.count("removed\t") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create",), "give either FILE or --folder"),
        (("x.backup", "--with", "photos"), "there is no 'photos'"),
        (("missing/x.backup",), "No such file"),
    ],
)
def test_mistakes_are_named(
    potoo: Potoo, filled: Path, arguments: tuple[str, ...], message: str
) -> None:
    failed(potoo("backup", *arguments, "--data-dir", filled), message)


def test_restore_over_accounts_is_refused_in_one_line(
    potoo: Potoo, filled: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.backup"
    potoo("backup", file, "--data-dir", filled)
    failed(potoo("restore", file, "--data-dir", filled), "--replace")
    assert account(filled).name == "anna"
    assert PASSWORD not in potoo("backup", "show", file).output
