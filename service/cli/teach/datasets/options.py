"""Options of ``potoo datasets``, and the datasets of a store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from service.settings import Settings
    from service.teach.datasets.opening import Datasets

Result = TypeVar("Result")
NameArgument = Annotated[str, typer.Argument(help="Name of the dataset.", metavar="NAME")]


def with_datasets(
    settings: Settings,
    use: Callable[[Datasets], Coroutine[Any, Any, Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Open the store, run ``use`` and close it; exit with a message if there is no store."""
    from observability.metrics.metrics import Metrics
    from service.cli.identity.accounts import with_identity
    from service.runtime.runtime import open_pool
    from service.teach.datasets.opening import build_datasets

    with open_pool(settings) as pool:
        return with_identity(
            settings,
            lambda identity: use(
                build_datasets(settings, identity.database, identity.audit, Metrics(), pool)
            ),
            must_exist=must_exist,
        )


class ProgressLine:
    """A line on standard error that counts, if that is a terminal."""

    def __init__(self, what: str) -> None:
        """``what`` is counted, such as "files"."""
        self._what, self._is_shown = what, sys.stderr.isatty()

    def __call__(self, done: int, of: int) -> None:
        """Show how many are done."""
        if self._is_shown:
            typer.echo(f"\r\x1b[K{done:,} of {of:,} {self._what}", nl=False, err=True)

    def end(self) -> None:
        """Remove the line."""
        if self._is_shown:
            typer.echo("\r\x1b[K", nl=False, err=True)
