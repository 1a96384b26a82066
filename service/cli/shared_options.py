"""What several commands have in common: their options, and how they fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (TOML). [env: POTOO_CONFIG]", show_default=False),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Model repository. [env: POTOO_MODELS]", show_default="bundled"),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Embedded store and signing keys. [env: POTOO_DATA_DIR]",
        show_default="potoo-data",
    ),
]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns the faults a user can mend into one line on standard error and exit status 1."""
    from schemas.errors import NotReady, ServiceError
    from schemas.operator_error import OperatorError

    try:
        yield
    except BrokenPipeError:  # as in `potoo classify ... | head`
        # Nothing may be flushed into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except NotReady as error:
        from auth.database import reason

        fail(f"{error} {reason(error)}" if error.__cause__ else str(error))
    except ServiceError as error:
        fail("; ".join(detail for _, detail in error.violations) or str(error))
    except (OperatorError, OSError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """One line on standard error, exit status 1."""
    typer.secho(f"potoo: {message}", fg="red" if sys.stderr.isatty() else None, err=True)
    raise typer.Exit(1)
