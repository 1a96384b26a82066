"""Count the open files of this process, and open many."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

MOST_LEFT = 100
"""Descriptors that a file of tests may leave open: those of fixtures of the session, and garbage."""
SELECTABLE = 1024
"""Descriptors from this number on cannot be passed to select(2)."""


def open_files() -> int:
    """Return the number of open descriptors."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


@contextmanager
def closing_files(name: str) -> Iterator[None]:
    """Fail if the block leaves many descriptors open.

    They make tests of other files fail: what selects takes no descriptor from 1024 on.
    """
    before = open_files()
    yield
    left = open_files() - before
    assert left <= MOST_LEFT, f"{name} leaves {left} files open"


@contextmanager
def many_files() -> Iterator[None]:
    """Let new descriptors have numbers that cannot be passed to select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * SELECTABLE), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while stack.enter_context(Path(os.devnull).open()).fileno() <= SELECTABLE:
            pass
        yield
