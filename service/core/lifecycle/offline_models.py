"""Models of a repository without a server in this process: versions are loaded to check them.

Running servers of the repository follow the stored policies by themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from service.core.lifecycle.background_executor import Executor, InlineExecutor
from service.core.lifecycle.default_model import default_model
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import candidates

Check = Callable[[Path], object]
"""Load the version in a folder as a server would, and free it; may raise ``ModelRefused``."""


class OfflineModels:
    """The ``ModelHost`` of the command line. Its methods block.

    Errors are those of the repository, with paths, for the operator.
    """

    def __init__(self, repository: Repository, check: Check, default_setting: str | None) -> None:
        """``default_setting``: the setting ``default_model``."""
        self.repository, self._check = repository, check
        self.executor: Executor = InlineExecutor()
        self.default_setting = default_setting

    @property
    def default_model(self) -> str | None:
        """The model that a server with this setting has as the default."""
        setting = self.default_setting
        chosen = self.repository.chosen_model() if setting is None else None
        return default_model(setting, chosen, self.repository.names())

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Do nothing: the repository locks its files, and errors are the operator's."""
        yield

    async def default_version(self, name: str) -> int | None:
        """Return the version that a server would serve by default."""
        return servable_default(self.repository, name, self._check)

    def check(self, folder: Path) -> None:
        """Check the version in a folder, which may be a draft.

        Raises:
            ModelRefused: it cannot be served.
        """
        self._check(folder)

    async def require_servable(self, name: str, number: int, *, retry: bool) -> None:  # noqa: ARG002
        """Check a version.

        Raises:
            ModelRefused: it does not exist, or cannot be served.
        """
        self._check(self.repository.version(name, number))

    async def require_default(self, name: str) -> None:
        """Check the versions of a model until one passes.

        Raises:
            ModelRefused: no version can be served; the message is that of the lowest that fails.
        """
        if servable_default(self.repository, name, self._check) is not None:
            return
        for folder in self.repository.versions(name).values():
            self._check(folder)
        raise ModelRefused(f"no version of '{name}' is to be served")

    async def follow(self, name: str) -> None:
        """Do nothing: running servers read the stored policy."""

    async def follow_default(self, name: str | None) -> None:
        """Do nothing: running servers read the stored choice."""


def servable_default(repository: Repository, name: str, check: Check) -> int | None:
    """Return the version that a server would serve by default: the first that passes its checks.

    Raises:
        NoSuchModel: the model does not exist.
    """
    available = repository.versions(name)
    for number in candidates(repository.policy(name), available):
        with suppress(ModelRefused):
            check(available[number])
            return number
    return None
