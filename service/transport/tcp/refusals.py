"""Waits after refused tokens, so that a device with a bad one does not keep the server busy. Pure.

Counted for each network and sensor name, so that one device does not lock out its neighbours, and
for each network with more free refusals, so that changing the name helps little.
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.errors import RateLimited

FREE = 5
"""Refused tokens without a wait; the next waits are 1, 2, 4 ... seconds."""
NETWORK_FACTOR = 10
LONGEST_SECONDS = 60.0
FORGET_SECONDS = 600.0
MOST_KEYS = 10_000
"""Keys that are counted; the one that was refused longest ago is forgotten first."""


class TokenRefusals:
    """Refused tokens of this process. ``now``: seconds on one clock."""

    def __init__(self) -> None:
        # By key: refusals, and the time of the last.
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def check(self, network: str, name: str, now: float) -> None:
        """Check that no wait is left.

        Raises:
            RateLimited: too many tokens were refused; with the seconds to wait.
        """
        for key, free in _keys(network, name):
            count, last = self._counts.get(key, (0, now))
            if count < free or now - last >= FORGET_SECONDS:
                continue
            wait = last + min(LONGEST_SECONDS, 2.0 ** min(count - free, 16)) - now
            if wait > 0:
                message = "Too many refused tokens; wait before the next one."
                raise RateLimited(message, retry_after=wait)

    def note(self, network: str, name: str, now: float) -> None:
        """Count a refused token."""
        for key, _ in _keys(network, name):
            count, last = self._counts.pop(key, (0, now))
            self._counts[key] = (1 if now - last >= FORGET_SECONDS else count + 1), now
        while len(self._counts) > MOST_KEYS:
            self._counts.popitem(last=False)


def _keys(network: str, name: str) -> tuple[tuple[tuple[str, str], int], ...]:
    return ((network, name), FREE), ((network, ""), FREE * NETWORK_FACTOR)
