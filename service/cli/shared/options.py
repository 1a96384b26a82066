"""Options and error reports that several commands share."""

from __future__ import annotations

import functools
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from observability.logs.audit import Audit
    from service.settings import Settings

AUDIT_FILE = ".audit.log"
"""File of a model repository or data folder; the dot tells servers that it is no model."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (TOML). [env: POTOO_CONFIG]", show_default=False),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Model repository. [env: POTOO_MODELS]",
        show_default="folder 'models' of the data folder",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Embedded store, signing keys, models. [env: POTOO_DATA_DIR]",
        show_default="potoo-data",
    ),
]


def settings_with_models(config: Path | None, **given: object) -> Settings:
    """Load the settings, and add the built-in models to the data folder's own repository.

    Raises:
        OperatorError, OSError: see ``load_settings`` and ``prepare_models``.
    """
    from service.runtime.first_run import prepare_models
    from service.settings import load_settings

    settings = load_settings(config, **given)
    prepare_models(settings, tell, models_audit(settings))
    return settings


def models_audit(settings: Settings) -> Audit:
    """Return the security log of changes to the model repository, a file in it."""
    from observability.logs.audit import Audit, AuditFile
    from observability.metrics.metrics import Metrics

    return Audit(Metrics(), AuditFile(settings.models / AUDIT_FILE))


@functools.cache
def acting_user() -> str:
    """Return the user of this process as the security log names it, such as ``cli:anna``.

    It is the user at the first call, also if the process becomes another user later.
    """
    user = os.getuid()  # not the environment, which the user may set
    try:
        return f"cli:{pwd.getpwuid(user).pw_name}"
    except KeyError:  # as in a container that runs as any number
        return f"cli:{user}"


def tell(line: str) -> None:
    """Print a line for the operator on standard error."""
    typer.echo(f"potoo: {line}", err=True)


@contextmanager
def plain_errors(what: str = "") -> Iterator[None]:
    """Report errors that the operator can fix as one line on standard error, exit status 1.

    Args:
        what: what failed, for the beginning of the line, such as "cannot start: ".
    """
    from schemas.errors import NotReady, ServiceError
    from schemas.operator_error import OperatorError

    try:
        yield
    except BrokenPipeError:  # as in `potoo classify ... | head`
        # Python must not flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except NotReady as error:
        from auth.store.database import reason

        fail(what + (f"{error} {reason(error)}" if error.__cause__ else str(error)))
    except ServiceError as error:
        fail(what + ("; ".join(detail for _, detail in error.violations) or str(error)))
    except (OperatorError, OSError) as error:
        fail(f"{what}{error}")


def fail(message: str) -> NoReturn:
    """Print an error on standard error and exit with status 1."""
    from observability.logs.terminal import takes_colour

    colour = "red" if takes_colour(sys.stderr) else None
    typer.secho(f"potoo: {message}", fg=colour, err=True)
    raise typer.Exit(1)
