"""Budget of cameras: intervals are stretched so that all together cost at most their share."""

from __future__ import annotations

WEIGHT = 0.2
"""Of a new measurement in the moving average of a camera's cost a frame."""
LEAST_SHARE = 0.1
"""Part of the capacity that is left to frames however much the decoding processes take."""


class Budget:
    """Mean cost of a frame of each camera, and the factor that their intervals are stretched by.

    A camera that wants a frame each ``every`` seconds, at ``cost`` seconds of work, demands
    ``cost / every`` cores. If all demand more than the capacity, every interval grows by the same
    factor, and no camera is left out.
    """

    def __init__(self, capacity: float) -> None:
        """``capacity``: in cores, above 0."""
        self._capacity = capacity
        self._every: dict[str, float] = {}
        self._cost: dict[str, float] = {}
        self._decoding = 0.0

    def note_frame(self, camera: str, *, every: float, cost: float) -> None:
        """Count a frame.

        Args:
            every: wanted interval in seconds, above 0.
            cost: seconds of work on one core.
        """
        before = self._cost.get(camera, cost)
        self._every[camera], self._cost[camera] = every, before + WEIGHT * (cost - before)

    def note_decoding(self, cores: float) -> None:
        """Set what the decoding processes take, in cores; it does not follow the intervals."""
        self._decoding = max(0.0, cores)

    def forget(self, camera: str) -> None:
        """Remove a camera that is not watched any more."""
        self._every.pop(camera, None)
        self._cost.pop(camera, None)

    @property
    def demand(self) -> float:
        """The load of all frames at the wanted intervals, in cores."""
        return sum(self._cost[camera] / every for camera, every in self._every.items())

    @property
    def stretch(self) -> float:
        """The factor of the intervals, at least 1."""
        left = max(self._capacity - self._decoding, LEAST_SHARE * self._capacity)
        return max(1.0, self.demand / left)
