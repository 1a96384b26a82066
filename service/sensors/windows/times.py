"""Times of samples by the device's clock, and the rate by ours."""

from __future__ import annotations

from collections import deque

RATE_SECONDS = 5.0
_BUCKET_SECONDS = 0.5


class SampleTimes:
    """The time of each sample, from the times of messages and the sensor's rate.

    A device's clock may be set while it sends. Times must grow with the sequence: a message whose
    time is before that of an earlier one is dated by the rate instead. If the message after it has
    such a time too, and the two are in order, the clock was set back: both count from then on.

    Attributes:
        jumps: times that the clock was set back.
    """

    def __init__(self, rate: float) -> None:
        """``rate``: samples a second."""
        self._seconds = 1.0 / rate
        self._sequence = 0
        self._at: float | None = None
        self._refused: float | None = None
        self.jumps = 0

    def note(self, sequence: int, at: float) -> None:
        """Note the time of the sample with this sequence, in seconds since the epoch."""
        if self._at is not None and at < self._at:
            if self._refused is None or at < self._refused:
                self._refused = at
                return
            self.jumps += 1
        self._refused = None
        self._sequence, self._at = sequence, at

    def of(self, sequence: int) -> float | None:
        """Return the time of a sample; None before the first noted time."""
        if self._at is None:
            return None
        return self._at + (sequence - self._sequence) * self._seconds


class RateMeter:
    """Samples a second over the last ``RATE_SECONDS``, by the time of their arrival."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[float, int]] = deque()
        self._since: float | None = None
        self._ends = self._count = 0.0

    def add(self, samples: int, now: float) -> None:
        """Count samples. ``now``: on ``time.monotonic``."""
        if now >= self._ends:
            if self._count:
                self._buckets.append((self._ends, int(self._count)))
            if self._since is None or now - self._ends > RATE_SECONDS:
                self._since = now
            self._ends, self._count = now + _BUCKET_SECONDS, 0.0
            while self._buckets and self._buckets[0][0] < now - RATE_SECONDS:
                self._buckets.popleft()
        self._count += samples

    def rate(self, now: float) -> float | None:
        """Return samples a second; None in the first half second, 0 after a pause."""
        if self._since is None or now - self._since < _BUCKET_SECONDS:
            return None
        oldest = now - RATE_SECONDS
        count = sum(samples for ends, samples in self._buckets if ends >= oldest)
        if self._ends >= oldest:
            count += int(self._count)
        return count / min(RATE_SECONDS, now - self._since)
