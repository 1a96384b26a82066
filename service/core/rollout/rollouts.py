"""The rollouts of a process: they follow the stored policies, and end by their rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from observability.logs.logging import get_logger
from observability.metrics.rollout_metrics import RolloutMetrics
from schemas.errors import ModelNotFound, NotFound, ServiceError
from schemas.operator_error import OperatorError
from schemas.rollout import EndedRollout, RolloutEnd, RolloutMode, RolloutReport
from service.core.lifecycle.model_control import ModelControl
from service.core.rollout.rules import Evidence
from service.core.rollout.trial import Trial
from service.core.serving.model import Model
from service.core.serving.registry import Registry

CHECK_SECONDS = 2.0
RULE = "rule"
"""The acting account, in the security log, of ends by rule."""

LabelledAnswers = Callable[[str, int, float], Awaitable[tuple[int, int]]]
"""Of a model's version, since a time: answers that people labelled the same, and otherwise."""


class Rollouts:
    """The rollouts of the models of a registry. Belongs to the event loop."""

    def __init__(
        self, registry: Registry, metrics: RolloutMetrics, is_busy: Callable[[], bool]
    ) -> None:
        """``is_busy``: whether calls wait for a thread."""
        self._registry, self._metrics, self._is_busy = registry, metrics, is_busy
        self._trials: dict[str, Trial] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, name: str) -> Trial | None:
        """Return the rollout of a model, if there is one."""
        rollout = self._registry.rollouts.get(name)
        if rollout is None:
            return None
        trial = self._trials.get(name)
        if trial is None or trial.rollout is not rollout:
            if trial is not None and trial.rollout == rollout:  # the policy was read again
                trial.rollout = rollout
                return trial
            self._end(name)
            trial = Trial(name, rollout, self._registry, self._metrics, is_busy=self._is_busy)
            self._trials[name] = trial
        return trial

    def model_for(self, owner: str, model: Model) -> Model:
        """Return the version that answers a caller who named none."""
        trial = self.of(model.ref.name)
        return model if trial is None else trial.model_for(owner, model)

    def report(self, name: str) -> RolloutReport:
        """Return what is known of the rollout of a model.

        Raises:
            ModelNotFound: no such model.
            NotFound: there is no rollout; it says how the last one ended.
        """
        if self._registry.default_version(name) is None and name not in self._registry.names():
            raise ModelNotFound
        trial = self.of(name)
        if trial is None:
            raise NotFound(_ended(self._registry.last_rollouts.get(name)))
        return trial.report()

    async def watch(
        self,
        models: ModelControl,
        labelled: LabelledAnswers | None = None,
        *,
        interval: float = CHECK_SECONDS,
    ) -> None:
        """Judge the rollouts every ``interval`` seconds, forever.

        Args:
            models: promotes or ends them.
            labelled: counts answers that people labelled.
        """
        while True:
            await asyncio.sleep(interval)
            for name in self._trials.keys() - self._registry.rollouts.keys():
                self._end(name)
            for name in list(self._registry.rollouts):
                await self.judge(name, models, labelled)

    async def judge(
        self, name: str, models: ModelControl, labelled: LabelledAnswers | None = None
    ) -> RolloutEnd | None:
        """End the rollout of a model if its rules say so; return why."""
        trial = self.of(name)
        if trial is None:
            return None
        if labelled is not None:
            await self._count_labelled(trial, name, labelled)
        end = trial.decide().end
        if end is None:
            return None
        log = get_logger("models").bind(model=name, version=trial.rollout.version, reason=end)
        try:
            is_ended = await models.end_rollout(name, reason=end, rollout=trial.rollout, by=RULE)
        except (ServiceError, OperatorError, OSError) as error:
            log.error("the rollout cannot be ended", error=str(error))  # noqa: TRY400
            return None
        if is_ended:
            self._metrics.ended(name, end)
            log.warning("rollout ended by rule", **_facts(trial))
        return end

    async def close(self) -> None:
        """End copies of calls under way."""
        for name in list(self._trials):
            self._end(name)
        await asyncio.gather(*self._closing)

    def _end(self, name: str) -> None:
        trial = self._trials.pop(name, None)
        if trial is not None:
            task = asyncio.ensure_future(trial.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _count_labelled(self, trial: Trial, name: str, labelled: LabelledAnswers) -> None:
        begun = trial.rollout.begun.timestamp()
        current = self._registry.default_version(name)
        versions: list[tuple[int, Evidence]] = [(trial.rollout.version, trial.tried)]
        if current is not None:
            versions.append((current.ref.version, trial.current))
        for version, evidence in versions:
            with suppress(ServiceError):  # the store does not answer: the last counts stand
                evidence.right, evidence.wrong = await labelled(name, version, begun)


def _facts(trial: Trial) -> dict[str, object]:
    return {
        "answers": trial.tried.answers,
        "errors": trial.tried.errors,
        "wrong": trial.tried.wrong,
        "compared": trial.comparison.compared,
        "agreed": trial.comparison.agreed,
    }


def _ended(last: EndedRollout | None) -> str:
    if last is None:
        return "No version of the model is being tried."
    what = "a shadow" if last.mode is RolloutMode.SHADOW else "a canary"
    return (
        f"No version of the model is being tried. The last one, version {last.version} as {what}, "
        f"ended at {last.ended:%Y-%m-%d %H:%M} UTC: {last.reason.value.replace('_', ' ')}."
    )
