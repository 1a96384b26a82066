"""The version of a model that currently answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import candidates


def answering(repository: Repository, name: str, check: Callable[[Path], object]) -> int | None:
    """Return the version that a server would serve by default: the first that passes its checks.

    Args:
        check: raises ``ModelRefused`` unless the version in a folder can be served.

    Raises:
        ModelRefused: the model does not exist.
    """
    there = repository.versions(name)
    for number in candidates(repository.policy(name), there):
        with suppress(ModelRefused):
            check(there[number])
            return number
    return None
