"""Kept events of a camera or a sensor, as lines, and the options of the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

if TYPE_CHECKING:
    from service.coordination.kept_events import KeptEventStore

FOLLOW_SECONDS = 1.0

LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="Number of the newest events.")]
FollowOption = Annotated[
    bool, typer.Option("--follow", help="Go on with new events until interrupted.")
]


class KeptEvent(Protocol):
    """An event as it is printed."""

    @property
    def id(self) -> int:
        """The cursor."""

    @property
    def at(self) -> datetime:
        """When it happened."""

    @property
    def kind(self) -> str:
        """Kind of the change."""

    @property
    def state(self) -> str | None:
        """The state from now on."""

    @property
    def previous(self) -> str | None:
        """The state before."""

    @property
    def score(self) -> float | None:
        """Score of the state's label."""


Event = TypeVar("Event", bound=KeptEvent)


async def print_events(
    events: KeptEventStore[Event],
    name: str,
    limit: int,
    check: Callable[[], Awaitable[object]],
    *,
    follow: bool,
) -> None:
    """Print the newest events of a subject, oldest first.

    Args:
        check: raises ``NotFound`` if there is no subject of that name.
        follow: go on with new ones until ``check`` raises.
    """
    await check()
    found = await events.last(limit, subject=name)
    cursor = 0
    while True:
        for event in found:
            cursor = event.id
            typer.echo(_line(event))
        if not follow:
            return
        await _pause()
        await check()
        found = await events.after(cursor, limit, subject=name)


async def _pause() -> None:
    await asyncio.sleep(FOLLOW_SECONDS)


def _line(event: KeptEvent) -> str:
    score = "" if event.score is None else f"\t{event.score:.2f}"
    at = event.at.isoformat(timespec="seconds")
    return f"{at}\t{event.kind}\t{event.state or '-'}\t{event.previous or '-'}{score}"
