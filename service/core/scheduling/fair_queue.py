"""A queue that is fair between callers, with three priorities.

Within a priority the callers take turns, one item each, so that a caller with a thousand waiting
items delays another caller's single item by one item. Between priorities, start-time fair queueing
(Goyal, Vin and Cheng, 1996) shares the turns 16 : 4 : 1, so that the lowest is slow but never
starved. Both assume that items cost about the same, as images for one model do.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Priority(StrEnum):
    """The priority of an item, highest first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BULK = "bulk"


WEIGHTS = {Priority.INTERACTIVE: 16, Priority.NORMAL: 4, Priority.BULK: 1}


class _Lane(Generic[Item]):
    """The waiting items of one priority by caller, the next caller first."""

    def __init__(self, weight: int) -> None:
        self.step = 1 / weight
        self.start = 0.0
        """Virtual time at which the next item of the lane is due."""
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
    """Items by caller and priority. Every operation takes constant time."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, _Lane[Item]] = {
            priority: _Lane(weight) for priority, weight in WEIGHTS.items()
        }
        self._now = 0.0

    def __len__(self) -> int:
        return sum(lane.size for lane in self._lanes.values())

    def push(self, item: Item, owner: str, priority: Priority) -> None:
        """Add an item behind its owner's others of that priority."""
        lane = self._lanes[priority]
        if not lane.size:
            # An idle lane does not save up turns.
            lane.start = max(lane.start, self._now)
        lane.owners.setdefault(owner, deque()).append(item)
        lane.size += 1

    def pop(self) -> Item:
        """Remove and return the item whose turn it is.

        Raises:
            IndexError: if the queue is empty.
        """
        waiting = [lane for lane in self._lanes.values() if lane.size]
        if not waiting:
            message = "pop from an empty queue"
            raise IndexError(message)
        # On a tie the first lane, which has the higher priority.
        lane = min(waiting, key=lambda lane: lane.start)
        self._now = lane.start
        lane.start += lane.step
        return lane.pop()

    def ahead_of(self, owner: str, priority: Priority, count: int = 1) -> float:
        """Estimate how many waiting items would be taken before the last of ``count`` new ones.

        Until then every other caller of the priority gets as many turns as ``owner``, and every
        other priority gets its share, limited by the number of items that wait.
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
