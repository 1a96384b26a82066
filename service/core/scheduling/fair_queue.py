"""Whose turn it is: a queue that is fair between callers and knows three priorities.

Within a priority the callers take turns, one item each, so that a caller with a thousand items
waiting delays another's single one by one item. Between priorities start-time fair queueing (Goyal,
Vin and Cheng, 1996) shares the turns 16 : 4 : 1, so that the lowest is slow and never starved. Both
rely on items costing about the same, as images for one model do.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Priority(StrEnum):
    """How soon an answer is wanted."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


WEIGHTS = {Priority.INTERACTIVE: 16, Priority.NORMAL: 4, Priority.BULK: 1}


class _Lane(Generic[Item]):
    """One priority: callers that have items waiting, the one whose turn it is first."""

    def __init__(self, weight: int) -> None:
        self.step = 1 / weight
        self.start = 0.0
        """Virtual time at which its next item is due."""
        self.size = 0
        self.owners: OrderedDict[str, deque[Item]] = OrderedDict()

    def pop(self) -> Item:
        owner, items = next(iter(self.owners.items()))
        item = items.popleft()
        if items:
            self.owners.move_to_end(owner)
        else:
            del self.owners[owner]
        self.size -= 1
        return item


class FairQueue(Generic[Item]):
    """Items by caller and priority. Every operation takes the same time however much waits."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, _Lane[Item]] = {
            priority: _Lane(weight) for priority, weight in WEIGHTS.items()
        }
        self._now = 0.0

    def __len__(self) -> int:
        return sum(lane.size for lane in self._lanes.values())

    def push(self, item: Item, owner: str, priority: Priority) -> None:
        """Adds an item behind its owner's others of that priority."""
        lane = self._lanes[priority]
        if not lane.size:
            # Nobody saves up turns by having nothing to do.
            lane.start = max(lane.start, self._now)
        lane.owners.setdefault(owner, deque()).append(item)
        lane.size += 1

    def pop(self) -> Item:
        """The item whose turn it is.

        Raises:
            IndexError: if there is none.
        """
        waiting = [lane for lane in self._lanes.values() if lane.size]
        if not waiting:
            message = "pop from an empty queue"
            raise IndexError(message)
        # Of equals the first one, which is the higher priority.
        lane = min(waiting, key=lambda lane: lane.start)
        self._now = lane.start
        lane.start += lane.step
        return lane.pop()

    def ahead_of(self, owner: str, priority: Priority, count: int = 1) -> float:
        """About how many items that wait would be taken before the last of ``count`` new ones.

        Every other caller of its priority gets as many turns as it needs to reach the front, and
        every other priority its share meanwhile; neither more than it has waiting.
        """
        lane = self._lanes[priority]
        own = len(lane.owners.get(owner, ())) + count - 1
        ahead = float(min(lane.size, (own + 1) * len(lane.owners)))
        turns = (ahead + count) * lane.step
        others = sum(
            min(other.size, turns / other.step)
            for other in self._lanes.values()
            if other is not lane
        )
        return ahead + others
