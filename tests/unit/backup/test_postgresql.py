"""Programs of PostgreSQL: how they are called, and what their failures look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.backup.manifest import BackupRefused
from service.backup.postgresql import dump_postgresql

pytestmark = pytest.mark.process

URL = make_url("postgresql+asyncpg://potoo:a-secret@db.example:5433/accounts?ssl=require")
RECORD = """#!/bin/sh
echo "$0 $*" >> {log}
env | grep ^PG | sort >> {log}
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs that stand in for PostgreSQL's."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o700)


def test_password_is_in_the_environment_and_never_an_argument(programs: Path) -> None:
    log, target = programs / "log", programs / "x.dump"
    write(programs / "psql", RECORD.format(log=log) + "echo 0006\n")
    write(programs / "pg_dump", RECORD.format(log=log) + f"touch {target}\n")
    assert dump_postgresql(URL, target, {"camera_events"}) == "0006"
    called = [line for line in log.read_text().splitlines() if "--" in line]
    assert len(called) == 2
    assert "a-secret" not in "".join(called)
    assert "--exclude-table-data=public.camera_events" in called[1]
    given = {
        *("PGHOST=db.example", "PGPORT=5433", "PGUSER=potoo", "PGDATABASE=accounts"),
        *("PGPASSWORD=a-secret", "PGSSLMODE=require"),
    }
    assert given <= set(log.read_text().splitlines())


def test_failure_of_a_program_is_told_in_one_line(programs: Path) -> None:
    write(programs / "psql", "#!/bin/sh\necho 'no\n  server' >&2\nexit 2\n")
    with pytest.raises(BackupRefused, match=r"^psql: no server$"):
        dump_postgresql(URL, programs / "x.dump", ())


def test_missing_program_is_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(BackupRefused, match="there is no psql on this machine"):
        dump_postgresql(URL, programs / "x.dump", ())
