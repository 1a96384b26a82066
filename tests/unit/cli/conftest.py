"""Runs ``potoo`` in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner, Result

from auth.store.accounts import Account
from service.cli import app
from service.cli.identity.accounts import with_identity
from service.runtime.identity import Identity
from service.settings import load_settings

Potoo = Callable[..., Result]
Found = TypeVar("Found")
PASSWORD = "correct horse"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def potoo() -> Potoo:
    """``potoo(*arguments, stdin="")``; exceptions of the command propagate."""

    def call(*arguments: str | Path, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(
            app, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False
        )

    return call


def add(potoo: Potoo, data_dir: Path, *arguments: str, stdin: str = f"{PASSWORD}\n") -> Result:
    """``potoo users add``."""
    return potoo(
        "users", "add", *arguments, "--password-stdin", "--data-dir", data_dir, stdin=stdin
    )


def inside(data_dir: Path, use: Callable[[Identity], Awaitable[Found]]) -> Found:
    """Run ``use`` on the identity of a server with that folder."""
    return with_identity(load_settings(data_dir=data_dir), use)


def account(data_dir: Path, name: str = "anna") -> Account:
    found = inside(data_dir, lambda identity: identity.accounts.get(name))
    assert found is not None
    return found


def failed(result: Result, message: str) -> None:
    """One line on standard error without secrets."""
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("potoo: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert PASSWORD not in result.output
