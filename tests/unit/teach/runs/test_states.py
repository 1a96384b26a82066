"""The states of a run: every walk ends, no step skips one, and finished runs do not change."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.teach.run import RunFailure, RunState
from service.teach.runs.states import (
    CANCELLABLE,
    FINISHED,
    MOST_ATTEMPTS,
    ORDER,
    Progress,
    StepRefused,
)

STATES = st.sampled_from(list(RunState))


class Walk(RuleBasedStateMachine):
    """A run and a shadow of what the drawing allows."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Progress()
        self.has_published = False

    def step(self, new: Progress) -> None:
        assert not self.run.is_finished
        self.run = new

    @rule()
    def begin(self) -> None:
        if self.run.state is RunState.QUEUED:
            attempts = self.run.attempts
            self.step(self.run.begun())
            assert (self.run.state, self.run.attempts) == (RunState.EXTRACTING, attempts + 1)
        else:
            with pytest.raises(StepRefused):
                self.run.begun()

    @rule(state=STATES)
    def advance(self, state: RunState) -> None:
        before = self.run
        try:
            after = before.advanced(state)
        except StepRefused:
            place = ORDER.index(before.state) if before.state in ORDER else -1
            is_next = 1 <= place < 5 and ORDER[place + 1] is state
            assert not is_next
        else:
            places = ORDER.index(before.state), ORDER.index(after.state)
            assert places[1] - places[0] in {0, 1}
            assert after.state not in FINISHED
            self.run = after

    @rule(version=st.integers(1, 9))
    def finish(self, version: int) -> None:
        if self.run.state is RunState.PUBLISHING:
            self.step(self.run.done(version))
            assert self.run.version == version
        else:
            with pytest.raises(StepRefused):
                self.run.done(version)

    @rule(code=st.sampled_from(list(RunFailure)))
    def fail(self, code: RunFailure) -> None:
        if self.run.is_finished:
            with pytest.raises(StepRefused):
                self.run.failed(code, "why")
        else:
            self.step(self.run.failed(code, "why"))

    @rule()
    def cancel(self) -> None:
        if self.run.state in CANCELLABLE:
            self.step(self.run.cancelled())
        else:
            with pytest.raises(StepRefused):
                self.run.cancelled()

    @rule(published=st.none() | st.integers(1, 9))
    def interrupt(self, published: int | None) -> None:
        if self.run.is_finished:
            with pytest.raises(StepRefused):
                self.run.interrupted("It died.", published)
            return
        attempts = self.run.attempts
        self.step(self.run.interrupted("It died.", published))
        if published is not None:
            assert (self.run.state, self.run.version) == (RunState.DONE, published)
        elif attempts >= MOST_ATTEMPTS:
            assert self.run.error is not None
            assert self.run.error.code is RunFailure.PROCESS_ENDED
        else:
            assert self.run.state is RunState.QUEUED

    @invariant()
    def only_a_done_run_has_a_version_and_only_a_failed_one_an_error(self) -> None:
        assert (self.run.version is not None) == (self.run.state is RunState.DONE)
        assert (self.run.error is not None) == (self.run.state is RunState.FAILED)

    @invariant()
    def it_is_begun_a_bounded_number_of_times(self) -> None:
        assert self.run.attempts <= MOST_ATTEMPTS


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_the_way_of_a_run_that_succeeds() -> None:
    run = Progress().begun()
    for state in ORDER[2:6]:
        run = run.advanced(state)
    assert run.done(4) == Progress(RunState.DONE, 1, 4)
