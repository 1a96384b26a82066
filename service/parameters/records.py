"""The state of a run on the disk, and as callers see it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.parameters import NewParameterRun, ParameterRun


class WaitingPush(BaseModel):
    """A push that waits for others. ``digest``: names its file."""

    model_config = ConfigDict(frozen=True)

    worker: str
    samples: int
    digest: str


class StoredRun(BaseModel):
    """A run.

    Attributes:
        version: steps that were done, from 1 on, which is the first parameters; 0: none yet.
        workers: the version that each worker's last push was of.
        waits_since: when the first of the waiting pushes came.
    """

    model_config = ConfigDict(frozen=True)

    options: NewParameterRun
    owner: str
    created: datetime
    version: int = 0
    waiting: tuple[WaitingPush, ...] = ()
    pushes: int = 0
    samples: int = 0
    stale: int = 0
    refused: int = 0
    workers: dict[str, int] = {}
    waits_since: datetime | None = None

    def has_waited(self, now: datetime) -> bool:
        """Return whether a step has waited for workers as long as it may."""
        patience = self.options.patience_seconds
        if patience is None or self.waits_since is None or not self.waiting:
            return False
        return (now - self.waits_since).total_seconds() >= patience


def shown(stored: StoredRun) -> ParameterRun:
    """Return a run as callers see it."""
    return ParameterRun(
        name=stored.options.name,
        owner=stored.owner,
        created=stored.created,
        options=stored.options,
        version=stored.version,
        waiting=len(stored.waiting),
        pushes=stored.pushes,
        samples=stored.samples,
        stale=stored.stale,
        refused=stored.refused,
        workers=stored.workers,
    )
