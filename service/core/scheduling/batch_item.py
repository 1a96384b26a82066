"""Items of a batcher and their outcomes. Times are seconds on the batcher's clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.core.engine.fair_queue import Turn

Raw = TypeVar("Raw")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Outcome(Generic[Answer]):
    """An item's answer, its time in the queue, and the run time of its batch."""

    answer: Answer
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class Item(Generic[Raw, Ready, Answer]):
    """An item on its way from raw to answered; the caller waits for ``future``."""

    turn: Turn
    raw: Raw | None
    future: asyncio.Future[Outcome[Answer]]
    deadline: float
    accepted: float
    ready: Ready | None = None
    waited: float = 0.0
    prepared: float = 0.0
