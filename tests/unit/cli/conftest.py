"""Runs ``potoo`` in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli import app

Potoo = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def potoo() -> Potoo:
    """``potoo(*arguments, stdin="")``; what a command raises, the test raises."""

    def call(*arguments: str | Path, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(
            app, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False
        )

    return call
