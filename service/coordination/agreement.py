"""The state of a camera or sensor: what enough of its last answers agree on, with hysteresis."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.cameras import UNKNOWN
from service.coordination.tables import MAX_STATE_CHARS
from service.core.imaging.answer import Classification, LabelledAnswer, Named


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """The model's answer for one frame.

    Attributes:
        label: of the summary, a label or a group; None if the model abstained.
        score: of ``label``, 0 to 1.
        scores: other labels that the answer has a score for.
    """

    label: str | None
    score: float
    scores: Mapping[str, float]

    def score_of(self, label: str) -> float | None:
        """Return the score of a label; None if the answer does not have it."""
        return self.score if label == self.label else self.scores.get(label)


class Agreement:
    """The state that ``agree`` of the last ``of`` answers vote for.

    An answer votes for the present state while that label's score is at least ``leave_score``;
    else for its own label, if the score is at least ``enter_score``; else for ``unknown``. If the
    last ``of`` answers are there and no label has enough votes, the state is ``unknown``. The
    present state stays if another one has no more votes than it.

    Attributes:
        state: None before the first agreement.
    """

    def __init__(
        self, *, agree: int, of: int, enter_score: float, leave_score: float, state: str | None
    ) -> None:
        """``state``: the one to go on from, such as that before a restart."""
        self._agree, self._enter, self._leave = agree, enter_score, leave_score
        self._votes: deque[str] = deque(maxlen=of)
        self._scores: dict[str, float] = {}
        self.state = state

    def add(self, answer: FrameAnswer) -> bool:
        """Count an answer; return whether the state changed."""
        vote = self._vote(answer)
        if self._votes.maxlen == 1:  # as below, in a tenth of the time
            score = answer.score_of(vote)
            if score is not None:
                self._scores = {vote: score}
            elif vote not in self._scores:
                self._scores = {}
            self._votes.append(vote)
            before, self.state = self.state, vote
            return before != vote
        if (score := answer.score_of(vote)) is not None:
            self._scores[vote] = score
        self._votes.append(vote)
        before, self.state = self.state, self._decide()
        kept = {*self._votes, self.state}
        self._scores = {label: score for label, score in self._scores.items() if label in kept}
        return before != self.state

    @property
    def score(self) -> float | None:
        """The last score of the state's label; None for ``unknown``."""
        return None if self.state is None else self._scores.get(self.state)

    @property
    def is_settled(self) -> bool:
        """Whether the last answer voted for the state, so that further frames change nothing."""
        return bool(self._votes) and self._votes[-1] == self.state

    def _vote(self, answer: FrameAnswer) -> str:
        if self.state is not None and self.state != UNKNOWN:
            held = answer.score_of(self.state)
            if held is not None and held >= self._leave:
                return self.state
        if answer.label is not None and answer.score >= self._enter:
            return answer.label
        return UNKNOWN

    def _decide(self) -> str | None:
        votes = Counter(reversed(self._votes))  # of equal counts, the most recent is first
        leader, most = votes.most_common(1)[0]
        if self.state is not None and votes[self.state] == most:
            leader = self.state
        if most >= self._agree:
            return leader
        return UNKNOWN if len(self._votes) == self._votes.maxlen else self.state


def best_of(found: Classification | LabelledAnswer) -> Named | None:
    """Return the label that an answer votes for; None if the model abstained.

    Of a multi-label model it is the likeliest of the labels that are present.
    """
    if found.summary is not None:
        return Named(found.summary.label[:MAX_STATE_CHARS], found.summary.score)
    present = set(found.labels_present or ())
    for one in found.predictions:
        if one.label in present:
            return Named(one.label[:MAX_STATE_CHARS], one.score)
    return None
