"""Moving average of a stream's summaries."""

from __future__ import annotations

from collections import deque

from service.core.imaging.answer import Named, Summary

LEAST = 0.5
"""Mean score from which a label is the smoothed summary."""


class Smoother:
    """Mean score of each summary label over the last frames, and the label that leads.

    A frame counts with its summary's score for that label, and with 0 for all others; a frame
    without a summary counts with 0 for every label. Failed and dropped frames do not count.
    """

    def __init__(self, window: int) -> None:
        """``window``: number of frames that are averaged, 1 or more."""
        self._recent: deque[tuple[str, float] | None] = deque(maxlen=window)
        self.summary: Named | None = None

    def add(self, summary: Summary | None) -> bool:
        """Count a frame's summary; return whether the leading label changed."""
        self._recent.append(None if summary is None else (summary.label, summary.score))
        sums: dict[str, float] = {}
        for entry in self._recent:
            if entry is not None:
                sums[entry[0]] = sums.get(entry[0], 0.0) + entry[1]
        before, self.summary = self.summary, None
        if sums:
            label = max(sums, key=sums.__getitem__)
            score = sums[label] / len(self._recent)
            if score >= LEAST:
                self.summary = Named(label, round(score, 6))
        return (before and before.label) != (self.summary and self.summary.label)
