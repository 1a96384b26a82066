"""One rollout in one process: which calls the tried version gets, and what was counted of it."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from observability.logs.logging import get_logger
from observability.metrics.rollout_metrics import RolloutMetrics
from schemas.errors import InferenceFailed, ServiceError
from schemas.rollout import Rollout, RolloutCounts, RolloutMode, RolloutReport
from schemas.serving import VersionState
from service.core.imaging.answer import Classification, LabelledAnswer
from service.core.rollout.rules import Comparison, Decision, Evidence, decide
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.serving.model import Model
from service.core.serving.registry import Registry

Answer = Classification | LabelledAnswer
Repeat = Callable[[Model, CallContext], Awaitable[Answer]]
"""Answer the input of a call by another version."""

DUTY = 0.01
"""Share of the time in which copies may run: so few calls meet one that the slowest hundredth of
answers is hardly slower."""
OWNER, PROTOCOL = "rollout", "shadow"
"""Of the calls that are copies, in the queue and in the metrics."""


class Trial:
    """A version that is tried beside the default one. Belongs to the event loop."""

    def __init__(
        self,
        name: str,
        rollout: Rollout,
        registry: Registry,
        metrics: RolloutMetrics,
        *,
        is_busy: Callable[[], bool],
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count.

        Args:
            is_busy: whether calls wait for a thread, so that a copy would delay them.
            chance: a number from 0 to 1, to choose the calls that are copied.
            clock: seconds.
        """
        self.rollout = rollout
        self._name, self._registry, self._metrics = name, registry, metrics
        self._is_busy, self._chance, self._clock = is_busy, chance, clock
        self._rests_until = -math.inf
        self.current, self.tried, self.comparison = Evidence(), Evidence(), Comparison()
        self._shadow: asyncio.Task[None] | None = None
        self._is_closed = False
        metrics.begin(name, rollout)

    @property
    def model(self) -> Model | None:
        """The tried version; None while it is not loaded."""
        version = self._registry.version(self._name, self.rollout.version)
        return version.model if version is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether the tried version answers and passes its canary."""
        model = self.model
        return model is not None and model.is_ready

    @property
    def is_broken(self) -> bool:
        """Whether the tried version cannot be loaded, or does not pass its canary."""
        version = self._registry.version(self._name, self.rollout.version)
        if version is None:
            return False
        if version.model is None:
            return version.state is VersionState.FAILED
        return not version.model.is_ready

    @property
    def is_copying(self) -> bool:
        """Whether the tried version answers a copy at present."""
        return self._shadow is not None

    def model_for(self, owner: str, current: Model) -> Model:
        """Return the version that answers a caller: always the same one while the rollout lasts."""
        rollout = self.rollout
        if rollout.mode is not RolloutMode.CANARY or not self.is_ready:
            return current
        if place_of(owner, self._name, rollout.version) >= rollout.share:
            return current
        return self.model or current

    def answered(self, model: Model, answer: Answer | None) -> None:
        """Count an answer to a caller; None for tensors, whose duration is not known."""
        evidence = self._evidence(model)
        if evidence is None:
            return
        evidence.answers += 1
        if answer is not None:
            evidence.time(answer.timing.inference_ms / 1000)
        self._metrics.count(self._name, model.ref.version, "answered")

    def failed(self, model: Model, error: ServiceError) -> None:
        """Count a call that failed, if the model is at fault."""
        evidence = self._evidence(model)
        if evidence is None or not isinstance(error, InferenceFailed):
            return
        evidence.errors += 1
        self._metrics.count(self._name, model.ref.version, "failed")

    def copy(self, model: Model, answer: Answer, call: CallContext, repeat: Repeat) -> None:
        """Have the tried version answer a copy of a call, unless that would delay others.

        One copy at a time, at the lowest priority, none while calls wait, and for ``DUTY`` of the
        time at most: else copies are dropped and counted.
        """
        shadow = self.model
        if (
            self.rollout.mode is not RolloutMode.SHADOW
            or shadow is None
            or self._is_closed
            or model.ref.version == self.rollout.version
            or self._chance() >= self.rollout.share
        ):
            return
        is_resting = self._clock() < self._rests_until
        if self._shadow is not None or is_resting or self._is_busy():
            self.comparison.dropped += 1
            self._metrics.count(self._name, self.rollout.version, "dropped")
            return
        copied = replace(
            call, owner=OWNER, weight=1, protocol=PROTOCOL, priority=Priority.BULK, timeout=None
        )
        self._shadow = asyncio.create_task(self._compare(shadow, answer, copied, repeat))
        self._shadow.add_done_callback(self._forget)

    async def _compare(
        self, shadow: Model, answer: Answer, call: CallContext, repeat: Repeat
    ) -> None:
        began = self._clock()
        try:
            with self._registry.lease(shadow):
                found = await repeat(shadow, call)
        except InferenceFailed:
            self.tried.errors += 1
            self._metrics.count(self._name, shadow.ref.version, "failed")
            return
        except ServiceError:  # it was late, or is being unloaded: that says nothing of it
            self.comparison.dropped += 1
            self._metrics.count(self._name, shadow.ref.version, "dropped")
            return
        finally:
            now = self._clock()
            self._rests_until = now + (now - began) * (1 / DUTY - 1)
        self.tried.answers += 1
        self.tried.time(found.timing.inference_ms / 1000)
        if not answer.predictions or not found.predictions:
            return
        first, other = answer.predictions[0], found.predictions[0]
        agreed = first.label == other.label
        self.comparison.compared += 1
        self.comparison.agreed += agreed
        self.comparison.shift += other.score - first.score
        self._metrics.count(self._name, shadow.ref.version, "agreed" if agreed else "differed")
        self._metrics.compare(self._name, self.comparison.shift / self.comparison.compared)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._shadow = None
        if not task.cancelled() and task.exception() is not None:
            get_logger("models").error(
                "a copy of a call failed: this is a bug", exc_info=task.exception()
            )

    def decide(self) -> Decision:
        """Decide by the rules of the rollout."""
        return decide(
            self.rollout,
            self.current,
            self.tried,
            self.comparison,
            is_loaded=self.model is not None,
            is_broken=self.is_broken,
        )

    def report(self) -> RolloutReport:
        """Return what is known so far."""
        default = self._registry.default_version(self._name)
        compared = self.comparison.compared
        ours, theirs = self.current.mean_seconds, self.tried.mean_seconds
        return RolloutReport(
            **dict(self.rollout),
            current=_counts(default.ref.version if default else 0, self.current),
            tried=_counts(self.rollout.version, self.tried),
            compared=compared,
            agreement=self.comparison.agreed / compared if compared else None,
            score_shift=self.comparison.shift / compared if compared else None,
            dropped=self.comparison.dropped,
            cost=theirs / ours if ours and theirs is not None else None,
            missing=self.decide().missing,
        )

    async def close(self) -> None:
        """End a copy under way."""
        self._is_closed = True
        self._metrics.end(self._name, self.rollout)
        if self._shadow is not None:
            self._shadow.cancel()
            await asyncio.gather(self._shadow, return_exceptions=True)

    def _evidence(self, model: Model) -> Evidence | None:
        """Return what is counted of a version; None of a third one."""
        if model.ref.version == self.rollout.version:
            return self.tried
        default = self._registry.default_version(self._name)
        return self.current if model is default else None


def place_of(owner: str, name: str, version: int) -> float:
    """Return the place of a caller among all, 0 to 1: even, and another one for each rollout."""
    digest = hashlib.sha256(f"{name}\n{version}\n{owner}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _counts(version: int, evidence: Evidence) -> RolloutCounts:
    seconds = evidence.mean_seconds
    return RolloutCounts(
        version=version,
        answers=evidence.answers,
        errors=evidence.errors,
        right=evidence.right,
        wrong=evidence.wrong,
        inference_ms=None if seconds is None else seconds * 1000,
    )
