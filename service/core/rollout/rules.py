"""When a rollout ends by itself: pure functions of what was counted.

Shares of the two versions are compared by Newcombe's interval for a difference of proportions, made
of two Wilson intervals (Newcombe 1998, "Interval estimation for the difference between independent
proportions", method 10). A version is ended once the lower end of the difference is above what the
rules permit, and promoted only while the upper end is not absurdly wide: after enough answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from schemas.rollout import RolloutEnd, RolloutMode, RolloutOptions, RolloutRules

Z = 1.959964
"""Of a two-sided 95 % interval."""


@dataclass(slots=True)
class Evidence:
    """Counts of one version.

    Attributes:
        answers: calls that it answered.
        errors: calls that failed within it.
        right, wrong: answers that people labelled the same, and otherwise.
        timed: runs whose duration is known.
        inference_seconds: sum of their durations.
    """

    answers: int = 0
    errors: int = 0
    right: int = 0
    wrong: int = 0
    timed: int = 0
    inference_seconds: float = 0.0

    @property
    def calls(self) -> int:
        """Calls that it answered or failed."""
        return self.answers + self.errors

    @property
    def mean_seconds(self) -> float | None:
        """Mean duration of its runs; None before the first answer."""
        return self.inference_seconds / self.timed if self.timed else None

    def time(self, seconds: float) -> None:
        """Add the duration of a run."""
        self.timed += 1
        self.inference_seconds += seconds


@dataclass(slots=True)
class Comparison:
    """Counts of calls that both versions answered.

    Attributes:
        compared: such calls.
        agreed: those with the same first label.
        shift: sum of the differences of the first label's score, tried less current.
        dropped: copies that were left out.
    """

    compared: int = 0
    agreed: int = 0
    shift: float = 0.0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """``end`` is None while nothing is decided; ``missing`` says in words what that waits for."""

    end: RolloutEnd | None
    missing: str = ""


def decide(
    options: RolloutOptions,
    current: Evidence,
    tried: Evidence,
    comparison: Comparison,
    *,
    is_loaded: bool,
    is_broken: bool,
) -> Decision:
    """Decide how a rollout goes on.

    Args:
        is_loaded: whether this process has loaded the tried version; a server that reads the
            policy loads it seconds later.
        is_broken: whether it cannot be loaded, or does not pass its canary.
    """
    end = RolloutEnd.GOLDENS if is_broken else _worse(options.rules, current, tried, comparison)
    if end is not None:
        return Decision(end)
    if not is_loaded:
        return Decision(None, "the version to be loaded")
    rules = options.rules
    judged = comparison.compared if options.mode is RolloutMode.SHADOW else tried.answers
    if judged < rules.min_answers:
        return Decision(None, f"{rules.min_answers - judged} more answers, to be judged")
    if rules.promote_after is None:
        return Decision(None, "a person, to promote it or end it")
    if judged < rules.promote_after:
        return Decision(None, f"{rules.promote_after - judged} more answers, to be promoted")
    return Decision(RolloutEnd.PROMOTED)


def _worse(
    rules: RolloutRules, current: Evidence, tried: Evidence, comparison: Comparison
) -> RolloutEnd | None:
    """Return in what the tried version is worse than the rules permit."""
    if tried.calls >= rules.min_answers:
        more = least_excess(tried.errors, tried.calls, current.errors, current.calls)
        if more > rules.max_more_errors:
            return RolloutEnd.ERRORS
    if tried.wrong and tried.answers >= rules.min_answers:
        more = least_excess(tried.wrong, tried.answers, current.wrong, current.answers)
        if more > rules.max_more_wrong:
            return RolloutEnd.WRONG_ANSWERS
    if rules.max_disagreement is not None and comparison.compared >= rules.min_answers:
        low, _ = wilson(comparison.compared - comparison.agreed, comparison.compared)
        if low > rules.max_disagreement:
            return RolloutEnd.DISAGREEMENT
    return None


def least_excess(own: int, of_own: int, other: int, of_other: int) -> float:
    """Return the lower end of the 95 % interval of ``own / of_own - other / of_other``.

    Without calls of the other: its share is taken as 0.
    """
    if not of_own:
        return -1.0
    own_low, _ = wilson(own, of_own)
    own_share = min(own / of_own, 1.0)
    if not of_other:
        return own_low
    other_share, (_, other_high) = min(other / of_other, 1.0), wilson(other, of_other)
    spread = sqrt((own_share - own_low) ** 2 + (other_high - other_share) ** 2)
    return own_share - other_share - spread


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; ``total``: above 0.

    A count above the total is taken as the total: labels come from all processes of a server, and
    answers are those of one.
    """
    share, weight = min(count / total, 1.0), Z * Z / total
    centre = (share + weight / 2) / (1 + weight)
    half = Z * sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
