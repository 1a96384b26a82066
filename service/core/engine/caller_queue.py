"""The waiting items of one model and priority, by caller."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Caller(Generic[Item]):
    __slots__ = ("items", "size", "weight")

    def __init__(self, weight: int) -> None:
        self.items: deque[tuple[Item, int]] = deque()
        self.size = 0
        self.weight = weight


class CallerQueue(Generic[Item]):
    """A queue in which callers take turns, as many items in a round as their weights say.

    Self-clocked fair queueing (Golestani, INFOCOM 1994): an item is due ``1 / weight`` of virtual
    time after its caller's previous one, or after the last item served if its caller had none
    waiting. Callers of equal weight take turns one by one, and a returning caller gains nothing.
    All items cost the same, as images for one model about do. Items that are taken together, a
    group, are due as late as its last one would be. ``size``: items that wait; ``weight``: the sum
    over the callers that wait.
    """

    def __init__(self) -> None:
        self._callers: dict[str, _Caller[Item]] = {}
        # Due time, order of entry for ties, caller: one entry for each that waits.
        self._due: list[tuple[float, int, str]] = []
        self._now = 0.0
        self._entries = 0
        self.size = 0
        self.weight = 0

    def push(self, item: Item, owner: str, weight: int, count: int = 1) -> None:
        """Add an item behind its owner's others; ``weight`` holds for all of them from now on.

        Args:
            count: of items, if ``item`` is a group.
        """
        caller = self._callers.get(owner)
        if caller is None:
            caller = self._callers[owner] = _Caller(weight)
            self._enter(self._now + count / weight, owner)
            self.weight += weight
        elif caller.weight != weight:
            self.weight += weight - caller.weight
            caller.weight = weight
        caller.items.append((item, count))
        caller.size += count
        self.size += count

    def pop(self) -> tuple[Item, int, int]:
        """Remove the item whose turn it is; return it with the weight of its caller and its count.

        Raises:
            IndexError: if the queue is empty.
        """
        due, _, owner = heapq.heappop(self._due)
        self._now = due
        caller = self._callers[owner]
        (item, count), weight = caller.items.popleft(), caller.weight
        if caller.items:
            caller.size -= count
            self._enter(due + caller.items[0][1] / weight, owner)
        else:
            del self._callers[owner]
            self.weight -= weight
        self.size -= count
        return item, weight, count

    def ahead_of(self, owner: str, weight: int, count: int) -> float:
        """Estimate how many waiting items are served before the last of ``count`` new ones.

        Constant time: other callers get turns by their weights, limited by what waits.
        """
        caller = self._callers.get(owner)
        own, others = (caller.size, self.weight - caller.weight) if caller else (0, self.weight)
        return own + min(self.size - own, (own + count) * others / weight)

    def step(self, owner: str = "", weight: int = 0) -> float:
        """Return the mean inverse weight of the items in one round, weighted by their turns.

        Args:
            owner: with ``weight``: a caller that is about to wait too.
        """
        callers, total = len(self._callers), self.weight
        if weight and owner not in self._callers:
            callers, total = callers + 1, total + weight
        return callers / total if total else 1.0

    def _enter(self, due: float, owner: str) -> None:
        self._entries += 1
        heapq.heappush(self._due, (due, self._entries, owner))
