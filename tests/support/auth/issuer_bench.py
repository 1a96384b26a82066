"""Running trusted issuers with a manual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from auth.issuer_settings import IssuerSettings
from auth.issuers import TrustedIssuers
from tests.support.servers.issuer import Issuer
from tests.support.waiting import eventually


@dataclass
class Bench:
    """The issuers under test, and their recorded events."""

    issuers: TrustedIssuers
    time: list[float]
    looks: list[tuple[str, bool]]
    changes: list[None] = field(default_factory=list)

    def later(self, seconds: float) -> None:
        self.time[0] += seconds


def trust(issuer: str, name: str = "theirs", **changes: object) -> IssuerSettings:
    return IssuerSettings.model_validate(
        {
            "name": name,
            "issuer": issuer,
            "audience": ["potoo"],
            "refresh_seconds": 86_400,
            **changes,
        }
    )


@asynccontextmanager
async def bench(*settings: IssuerSettings, timeout: float = 5) -> AsyncIterator[Bench]:
    """Running issuers with a manual clock."""
    time, looks, changes = [0.0], list[tuple[str, bool]](), list[None]()
    issuers = TrustedIssuers(
        settings,
        on_change=lambda: changes.append(None),
        on_look=lambda name, is_up: looks.append((name, is_up)),
        timeout=timeout,
        monotonic=lambda: time[0],
    )
    async with issuers.running():
        yield Bench(issuers, time, looks, changes)


async def looked(at: Bench, times: int = 1) -> None:
    """Wait for the ends of fetches; the first entry means that there was none yet."""
    await eventually(lambda: len(at.looks) > times)


def kid_of(issuer: Issuer) -> str:
    return issuer.published()[-1]["kid"]
