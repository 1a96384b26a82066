"""Findings of checks, and what a check may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from service.settings import Settings


class Level(StrEnum):
    """Outcome of a check, in the order of severity from ``OK`` to ``FAILED``."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one check.

    Attributes:
        check: its name, such as ``disk``.
        seen: what was seen, without secrets.
        mend: what to do; empty if nothing.
    """

    check: str
    level: Level
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Subjects of the checks.

    Attributes:
        site: calls the server from outside; None if no address was given.
        address: of the site, such as ``https://cam.example.org``.
        prometheus: calls Prometheus; None if no address was given.
        backups: folder of backups; None if none was given.
        clock: seconds since the epoch.
    """

    settings: Settings
    site: httpx.Client | None
    address: str
    prometheus: httpx.Client | None
    backups: Path | None
    clock: Callable[[], float]


Check = Callable[[Scene], Iterator[Finding]]


def ok(check: str, seen: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, seen)


def skipped(check: str, why: str) -> Finding:
    """Return that the check was not made."""
    return Finding(check, Level.SKIPPED, why)


def warning(check: str, seen: str, mend: str) -> Finding:
    """Return a flaw that may wait."""
    return Finding(check, Level.WARNING, seen, mend)


def failed(check: str, seen: str, mend: str) -> Finding:
    """Return a fault."""
    return Finding(check, Level.FAILED, seen, mend)
