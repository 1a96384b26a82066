"""A queue that is fair between priorities, between models, and between callers.

::

    priorities   share the threads 16 : 4 : 1          by start-time fair queueing, in seconds
      models     take turns, however long they are     by start-time fair queueing, in seconds
        callers  take turns, by their weights          see ``CallerQueue``, in items

Start-time fair queueing (Goyal, Vin and Cheng, 1996): the next item is taken where the virtual
start time is smallest, and taking it moves that start time by its cost over its weight. The cost of
an item is known only when it has run, so the mean of its model is charged first, and corrected to
the measured seconds in ``settle``. With several threads the bounds of fairness grow by one item a
thread (Jin, Chase and Kaur, 2004: SFQ(D)).

No class here is locked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.core.engine.caller_queue import CallerQueue

Item = TypeVar("Item")

GUESS = 2**-7
"""Cost of an item of a model that has run none yet, in seconds."""
LEAST = 2**-20
"""Least cost of an item in seconds, so that turns advance on a coarse clock too."""
SMOOTHING = 0.05
"""Weight of the newest item in a running mean."""


def smoothed(mean: float, value: float) -> float:
    """Return the exponential moving average; the first value is taken as it is."""
    return mean + (value - mean) * SMOOTHING if mean else value


class Flow:
    """The work of one model. ``running``: its items that were taken and not settled.

    ``mean``: seconds of an item on its thread, dropped items included; 0 until one was measured.
    """

    __slots__ = ("mean", "running")

    def __init__(self) -> None:
        self.mean = 0.0
        self.running = 0

    @property
    def cost(self) -> float:
        """The charge for an item when it starts, in seconds."""
        return self.mean or GUESS


@dataclass(slots=True, eq=False)  # not frozen, which takes three times as long to create
class Turn:
    """Model, caller and priority of an item.

    ``share``: of the priority; ``weight``: of ``owner``, at least 1.
    """

    flow: Flow
    owner: str
    weight: int
    share: int


class _Place(Generic[Item]):
    """One model within a lane. ``start``: virtual time at which its next item is due."""

    __slots__ = ("callers", "flow", "start")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.callers: CallerQueue[Item] = CallerQueue()
        self.start = 0.0


class _Lane(Generic[Item]):
    """One priority. ``start``: virtual time at which its next item is due.

    ``now``: virtual time of its models; ``latest``: the largest start time that one of them has.
    """

    def __init__(self, share: int) -> None:
        self.share = share
        self.start = self.now = self.latest = 0.0
        self.places: dict[Flow, _Place[Item]] = {}
        """Of every model with items in this lane, waiting or running."""
        self.waiting: dict[Flow, _Place[Item]] = {}
        """Those with items that wait, in the order in which they began to."""

    def backlog(self) -> tuple[int, float]:
        """Return the number of items that wait, and their expected seconds."""
        size, seconds = 0, 0.0
        for place in self.waiting.values():
            size += place.callers.size
            seconds += place.callers.size * place.flow.mean
        return size, seconds


@dataclass(slots=True, eq=False)
class Charge(Generic[Item]):
    """The charge for a started item. ``expected``: its seconds, 0 if unknown.

    ``count``: of items, if they were taken as a group.
    """

    lane: _Lane[Item]
    place: _Place[Item]
    weight: int
    seconds: float
    expected: float
    count: int = 1

    def add(self, seconds: float) -> None:
        """Move the start times by ``seconds`` more, which may be negative."""
        self.lane.start += seconds / self.lane.share
        self.place.start += seconds / self.weight
        self.lane.latest = max(self.lane.latest, self.place.start)


class FairQueue(Generic[Item]):
    """Items by priority, model and caller. ``running``: taken and not settled; a group is one."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane[Item]] = {}
        self._now = 0.0
        self._size = self.running = self._running_items = 0
        self._running_seconds = 0.0
        self._longest_mean = LEAST

    def __len__(self) -> int:
        return self._size

    def push(self, item: Item, turn: Turn, count: int = 1) -> None:
        """Add an item behind its owner's others of that model and priority.

        Args:
            count: of items, if ``item`` is a group: it is charged as so many, and takes as many
                turns of its owner.
        """
        if not self._size and not self.running:
            self._begin_busy_period()
        lane = self._lane(turn.share)
        if not lane.waiting:
            # An idle lane does not save up turns, nor does an idle model.
            lane.start = max(lane.start, self._now)
        place = lane.places.get(turn.flow)
        if place is None:
            place = lane.places[turn.flow] = _Place(turn.flow)
        if not place.callers.size:
            place.start = max(place.start, lane.now)
            lane.waiting[turn.flow] = place
        place.callers.push(item, turn.owner, turn.weight, count)
        self._size += count

    def pop(self) -> tuple[Item, Charge[Item]]:
        """Remove the item whose turn it is; return it with what to ``settle`` when it has run.

        Raises:
            IndexError: if the queue is empty.
        """
        lane = None
        # Lanes are in the order of their shares: on a tie the higher priority.
        for one in self._lanes.values():
            if one.waiting and (lane is None or one.start < lane.start):
                lane = one
        if lane is None:
            message = "pop from an empty queue"
            raise IndexError(message)
        self._now = max(self._now, lane.start)
        place = min(lane.waiting.values(), key=_start)
        flow = place.flow
        lane.now = max(lane.now, place.start)
        item, weight, count = place.callers.pop()
        if not place.callers.size:
            del lane.waiting[flow]
        charge = Charge(lane, place, weight, count * flow.cost, count * flow.mean, count)
        charge.add(charge.seconds)
        flow.running += count
        self._size -= count
        self._running_items += count
        self.running += 1
        self._running_seconds += charge.expected
        return item, charge

    def settle(self, charge: Charge[Item], seconds: float) -> None:
        """Correct the charge of an item that has run for ``seconds``. Once per item."""
        seconds, flow = max(seconds, LEAST), charge.place.flow
        charge.add(seconds - charge.seconds)
        flow.mean = smoothed(flow.mean, seconds / charge.count)
        self._longest_mean = max(self._longest_mean, flow.mean)
        flow.running -= charge.count
        self._running_items -= charge.count
        self.running -= 1
        self._running_seconds -= charge.expected

    def expected_wait(self, turn: Turn, count: int, threads: int, held: int = 0) -> float:
        """Estimate the seconds until the last of ``count`` new items is taken, its mates aside.

        Args:
            held: items of this model that are not answered and do not wait.
        """
        threads = max(1, threads)
        if not self._size and self.running < threads:
            return 0.0
        flow = turn.flow
        # Running items are half done on average.
        busy = self._running_seconds + max(0, held - flow.running) * flow.mean
        return (self.work_before(turn, count) + busy / 2) / threads

    def longest_wait(self, threads: int, held: int = 0) -> float:
        """Return a number of seconds that ``expected_wait`` never exceeds, whatever the turn.

        It takes a tenth of the time, and needs no lock: it reads counts only.
        """
        items = self._size + self._running_items + held
        return items * self._longest_mean / max(1, threads)

    def work_before(self, turn: Turn, count: int = 1) -> float:
        """Estimate the work that waits now and is taken before the last of ``count`` new items.

        In seconds of one thread, by the mean costs of the models. Whatever waits longer than the
        new items has to is not counted: it does not delay them.
        """
        flow, lane = turn.flow, self._lane(turn.share)
        place = lane.places.get(flow) or _Place[Item](flow)
        ahead = place.callers.ahead_of(turn.owner, turn.weight, count)
        start = place.start if place.callers.size else max(place.start, lane.now)
        step = flow.cost * place.callers.step(turn.owner, turn.weight)
        due = start + (ahead + count - 1) * step
        work = ahead * flow.mean
        for other, its in lane.waiting.items():
            if other is not flow:
                waiting, each = its.callers.size, other.cost * its.callers.step()
                work += other.mean * _taken(waiting, its.start, each, due)
        start = lane.start if lane.waiting else max(lane.start, self._now)
        due = start + (work + (count - 1) * flow.mean) / lane.share
        for one in self._lanes.values():
            if one is not lane and one.waiting:
                waiting, seconds = one.backlog()
                mean = max(seconds / waiting, LEAST)
                work += mean * _taken(waiting, one.start, mean / one.share, due)
        return work

    def _lane(self, share: int) -> _Lane[Item]:
        lane = self._lanes.get(share)
        if lane is None:
            lane = self._lanes[share] = _Lane(share)
            lane.start = self._now
            self._lanes = dict(sorted(self._lanes.items(), reverse=True))
        return lane

    def _begin_busy_period(self) -> None:
        """Start all lanes and models alike: what they had before an idle time does not count."""
        self._running_seconds = 0.0  # free of rounding errors
        for lane in self._lanes.values():
            self._now = max(self._now, lane.start)
            lane.now = lane.latest
            lane.places.clear()


def _start(place: _Place[Item]) -> float:
    return place.start


def _taken(waiting: int, start: float, step: float, due: float) -> int:
    """Return how many items, one each ``step`` from ``start`` on, are taken until ``due``."""
    return min(waiting, math.floor((due - start) / step) + 1) if due >= start else 0
