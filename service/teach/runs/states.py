"""The states of a run, and the steps between them. Pure.

::

    queued ─► extracting ─► fitting ─► judging ─► grafting ─► publishing ─► done
      ▲ │         │            │          │           │            │
      │ └─────────┴────────────┴──────────┴───────────┤            │
      │                                               ▼            │
      │                                      failed, cancelled     ├─► failed
      └── interrupted: the process or the server died ─────────────┘

A run that is being published can no longer be cancelled, since its version may be visible. A run
that was interrupted begins again, with the features that it had computed; one whose version is
published already is done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from schemas.teach.run import RunError, RunFailure, RunState

ORDER = (
    RunState.QUEUED,
    RunState.EXTRACTING,
    RunState.FITTING,
    RunState.JUDGING,
    RunState.GRAFTING,
    RunState.PUBLISHING,
    RunState.DONE,
)
"""The way of a run that succeeds."""
FINISHED = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED})
CANCELLABLE = frozenset(ORDER[: ORDER.index(RunState.PUBLISHING)])
MOST_ATTEMPTS = 3
"""A run that is interrupted so often is given up: it may be what ends the process."""


class StepRefused(Exception):
    """A run cannot take this step from its state."""

    def __init__(self, state: RunState, step: str) -> None:
        self.state = state
        super().__init__(f"a run that is {state} cannot be {step}")


@dataclass(frozen=True, slots=True)
class Progress:
    """The part of a run that changes while it goes on.

    Attributes:
        attempts: times that it was begun.
        version: the number that it published; None before.
    """

    state: RunState = RunState.QUEUED
    attempts: int = 0
    version: int | None = None
    error: RunError | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will change."""
        return self.state in FINISHED

    def begun(self) -> Progress:
        """Begin a queued run.

        Raises:
            StepRefused: it is not queued.
        """
        self._require(RunState.QUEUED, "begun")
        return replace(self, state=RunState.EXTRACTING, attempts=self.attempts + 1)

    def advanced(self, state: RunState) -> Progress:
        """Go on to the next state before ``publishing`` is left; the same state again is no step.

        Raises:
            StepRefused: it is not the next one.
        """
        if self.state is state and state in ORDER[1:6]:
            return self
        place = ORDER.index(self.state) if self.state in ORDER else len(ORDER)
        if not 1 <= place < 5 or ORDER[place + 1] is not state:
            raise StepRefused(self.state, str(state))
        return replace(self, state=state)

    def done(self, version: int) -> Progress:
        """Finish with the version that was published.

        Raises:
            StepRefused: it was not being published.
        """
        self._require(RunState.PUBLISHING, "done")
        return replace(self, state=RunState.DONE, version=version)

    def failed(self, code: RunFailure, detail: str) -> Progress:
        """Finish with an error.

        Raises:
            StepRefused: it is finished.
        """
        if self.is_finished:
            raise StepRefused(self.state, "failed")
        return replace(self, state=RunState.FAILED, error=RunError(code=code, detail=detail))

    def cancelled(self) -> Progress:
        """Give up at the caller's wish.

        Raises:
            StepRefused: it is finished, or is being published.
        """
        if self.state not in CANCELLABLE:
            raise StepRefused(self.state, "cancelled")
        return replace(self, state=RunState.CANCELLED)

    def interrupted(self, reason: str, published: int | None = None) -> Progress:
        """Begin again after the process died, or finish.

        Args:
            reason: why, for people.
            published: the version that this run has published already.

        Raises:
            StepRefused: it is finished.
        """
        if self.is_finished:
            raise StepRefused(self.state, "interrupted")
        if published is not None:
            return replace(self, state=RunState.DONE, version=published)
        if self.attempts >= MOST_ATTEMPTS:
            times = f"{self.attempts} times, and is not tried again"
            return self.failed(RunFailure.PROCESS_ENDED, f"{reason} The run was begun {times}.")
        return replace(self, state=RunState.QUEUED)

    def _require(self, state: RunState, step: str) -> None:
        if self.state is not state:
            raise StepRefused(self.state, step)
