"""What goes through a batcher, and what comes out. Times are seconds on the batcher's clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

Raw = TypeVar("Raw")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Answer]):
    """One item's answer; ``queue_seconds`` it waited, ``run_seconds`` its batch took."""

    answer: Answer
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class Item(Generic[Raw, Ready, Answer]):
    """What one caller waits for, on its way from raw to answered."""

    raw: Raw | None
    future: asyncio.Future[Outcome[Answer]]
    deadline: float
    accepted: float
    ready: Ready | None = None
    waited: float = 0.0
    prepared: float = 0.0
