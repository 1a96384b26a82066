"""The state of a sensor: what enough of its last windows agree on."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.sensors import SensorAnswer
from service.coordination.agreement import Agreement, FrameAnswer
from service.sensors.ingest.models import Verdict
from service.sensors.records import Change, StoredSensor


class StateVotes:
    """Counts answers in the order of their windows.

    The votes before a restart are those of the kept answers, so that it changes nothing.

    Attributes:
        revision: of the sensor's configuration.
    """

    def __init__(self, sensor: StoredSensor, recent: Sequence[SensorAnswer]) -> None:
        """``recent``: the newest kept answers, oldest first."""
        spec, self.revision = sensor.spec, sensor.revision
        self._agreement = Agreement(
            agree=spec.agree,
            of=spec.of,
            enter_score=spec.enter_score,
            leave_score=spec.leave_score,
            state=sensor.state,
        )
        for answer in recent:
            self._agreement.add(_vote_of(answer))
            self._agreement.state = sensor.state

    @property
    def state(self) -> str | None:
        """The state now."""
        return self._agreement.state

    def add(self, verdict: Verdict, at: float) -> Change | None:
        """Count an answer; return the change of the state, if there is one."""
        before = self._agreement.state
        if not self._agreement.add(verdict.vote):
            return None
        return Change(
            "state",
            at,
            self._agreement.state,
            before,
            self._agreement.score,
            verdict.model,
            verdict.version,
        )


def _vote_of(answer: SensorAnswer) -> FrameAnswer:
    scores = {one.label: one.score for one in answer.predictions}
    return FrameAnswer(answer.label, answer.score or 0.0, scores)
