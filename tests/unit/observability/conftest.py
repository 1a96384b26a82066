"""Logging is configured for a whole process: tests put it back."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from observability.logging import QUIET_LIBRARIES

TOUCHED = ("", *QUIET_LIBRARIES, "uvicorn.error")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What is configured here would follow all other tests."""
    handlers = logging.root.handlers
    levels = {name: logging.getLogger(name).level for name in TOUCHED}
    yield
    logging.root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()
