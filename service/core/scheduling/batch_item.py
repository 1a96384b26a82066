"""Items of a batcher and their outcomes. Times are seconds on the batcher's clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from schemas.errors import ServiceError
from service.core.engine.fair_queue import Turn

Raw = TypeVar("Raw")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")
Result = TypeVar("Result")
Given_contra = TypeVar("Given_contra", contravariant=True)


@dataclass(slots=True)
class Outcome(Generic[Answer]):
    """An item's answer, its time in the queue, and the run time of its batch."""

    answer: Answer
    queue_seconds: float
    run_seconds: float


class Promise(Protocol[Given_contra]):
    """Where the result of an item goes: a future, or a place in a group."""

    def done(self) -> bool:
        """Return whether nothing waits for a result (any more)."""

    def set_result(self, result: Given_contra, /) -> None:
        """Set the result; once."""

    def set_exception(self, error: ServiceError, /) -> None:
        """Set an error as the result."""


class Group(Generic[Result]):
    """The results of items that are waited for together.

    Attributes:
        done: set when every item has a result or an error.
    """

    __slots__ = ("_left", "_results", "done")

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._results: list[Result | ServiceError | None] = [None] * size
        self._left = size

    def has(self, number: int) -> bool:
        """Return whether an item has a result, or nothing waits for one."""
        return self._results[number] is not None or self.done.done()

    def settle(self, number: int, result: Result | ServiceError) -> None:
        """Set the result of an item that has none."""
        self._results[number] = result
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def results(self) -> list[Result | ServiceError]:
        """Return all results, in the order of the items."""
        return [result for result in self._results if result is not None]


class Place(Generic[Result]):
    """The place of one item in a group; a ``Promise``."""

    __slots__ = ("_group", "_number")

    def __init__(self, group: Group[Result], number: int) -> None:
        self._group, self._number = group, number

    def done(self) -> bool:
        """See ``Promise``."""
        return self._group.has(self._number)

    def set_result(self, result: Result, /) -> None:
        """See ``Promise``."""
        self._group.settle(self._number, result)

    def set_exception(self, error: ServiceError, /) -> None:
        """See ``Promise``."""
        self._group.settle(self._number, error)


@dataclass(slots=True, eq=False)
class Item(Generic[Raw, Ready, Answer]):
    """An item on its way from raw to answered; ``future`` is for its caller."""

    turn: Turn
    raw: Raw | None
    future: Promise[Outcome[Answer]]
    deadline: float
    accepted: float
    ready: Ready | None = None
    waited: float = 0.0
    prepared: float = 0.0
