"""Turns of priorities and models on a simulated executor: shares of time, foreseen waits."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.engine.fair_queue import Charge, FairQueue, Flow, Turn
from service.core.scheduling.priority import SHARES, Priority

NORMAL = SHARES[Priority.NORMAL]
COSTS = st.sampled_from([1.0, 3.0, 10.0, 100.0])
ROUNDING = 1 + SHARES[Priority.INTERACTIVE] // NORMAL
"""Items: one more or less of a priority moves those of the next one by the ratio of their shares."""


@dataclass(eq=False)
class Work:
    """An item, the seconds that it takes, and its model's name."""

    model: str
    seconds: float
    owner: str = ""
    share: int = NORMAL


class Executor:
    """Threads that take items from a fair queue, on a clock of their own."""

    def __init__(self, threads: int = 1) -> None:
        self.queue: FairQueue[Work] = FairQueue()
        self.flows: dict[str, Flow] = defaultdict(Flow)
        self.threads, self.now = threads, 0.0
        self.began: list[Work] = []
        self.used: dict[str, float] = defaultdict(float)
        """Seconds by model, of items that have ended."""
        self._running: list[tuple[float, int, Work, Charge[Work]]] = []

    def push(self, *items: Work, weight: int = 1) -> None:
        for item in items:
            self.queue.push(item, self.turn(item, weight))

    def turn(self, item: Work, weight: int = 1) -> Turn:
        return Turn(self.flows[item.model], item.owner, weight, item.share)

    def learn(self, **costs: float) -> None:
        """Run one item of each model, so that its cost is known."""
        for model, seconds in costs.items():
            self.push(Work(model, seconds))
            self.drain()
        self.began.clear()
        self.used.clear()

    def begin(self) -> None:
        """Take items for the threads that are free."""
        while self.queue and len(self._running) < self.threads:
            item, charge = self.queue.pop()
            self.began.append(item)
            entry = (self.now + item.seconds, len(self.began), item, charge)
            heapq.heappush(self._running, entry)

    def end(self) -> Work:
        """Go on until the next item ends; return it."""
        self.now, _, item, charge = heapq.heappop(self._running)
        self.queue.settle(charge, item.seconds)
        self.used[item.model] += item.seconds
        return item

    def step(self) -> Work:
        self.begin()
        return self.end()

    def drain(self) -> None:
        while self.queue or self._running:
            self.step()


def test_single_caller_is_served_in_order() -> None:
    executor = Executor()
    items = [Work("a", 1.0) for _ in range(5)]
    executor.push(*items)
    executor.drain()
    assert executor.began == items


def test_full_queue_of_one_model_delays_another_by_one_item() -> None:
    executor = Executor()
    executor.push(*(Work("slow", 100.0) for _ in range(1000)))
    executor.begin()
    executor.push(Work("fast", 1.0))
    executor.end()
    executor.begin()
    assert executor.began[-1].model == "fast"


def test_many_callers_of_one_model_delay_another_by_one_item() -> None:
    executor = Executor()
    executor.push(*(Work("slow", 1.0, str(number)) for number in range(1000)))
    executor.begin()
    executor.push(Work("fast", 1.0, "anna"))
    executor.end()
    executor.begin()
    assert executor.began[-1].model == "fast"


def test_models_take_turns_by_time_and_not_by_items() -> None:
    executor = Executor()
    executor.push(*(Work("slow", 100.0) for _ in range(10)))
    executor.push(*(Work("fast", 1.0) for _ in range(1000)))
    while executor.now < 1000:
        executor.step()
    assert executor.used["slow"] == pytest.approx(500, abs=110)
    assert executor.used["fast"] == pytest.approx(500, abs=110)


def test_busier_callers_of_a_model_get_more_of_its_turns_by_weight() -> None:
    executor = Executor()
    executor.push(*(Work("a", 1.0, "heavy") for _ in range(90)), weight=3)
    executor.push(*(Work("b", 1.0, "light") for _ in range(90)))
    for _ in range(80):
        executor.step()
    assert executor.used["a"] == pytest.approx(60, abs=3)


@pytest.mark.parametrize("cost", [1.0, 0.0, 1e-9])
def test_priorities_are_served_by_share(cost: float) -> None:
    executor = Executor()
    for share in SHARES.values():
        executor.push(*(Work("a", cost, share=share) for _ in range(210)))
    for _ in range(210):
        executor.step()
    served = Counter(item.share for item in executor.began)
    for share, count in served.items():
        assert count == pytest.approx(10 * share, abs=2)


def test_priorities_hold_across_models() -> None:
    executor = Executor()
    bulk, interactive = SHARES[Priority.BULK], SHARES[Priority.INTERACTIVE]
    executor.push(*(Work("slow", 10.0, share=bulk) for _ in range(100)))
    executor.push(*(Work("fast", 1.0, share=interactive) for _ in range(1000)))
    while executor.now < 700:
        executor.step()
    assert executor.used["slow"] == pytest.approx(700 / 17, abs=11)


def test_urgent_item_precedes_waiting_bulk_items() -> None:
    executor = Executor()
    executor.push(*(Work("a", 1.0, share=SHARES[Priority.BULK]) for _ in range(5)))
    executor.step()
    executor.push(Work("b", 1.0, share=SHARES[Priority.INTERACTIVE]))
    executor.step()
    assert executor.began[-1].model == "b"


def test_idle_priority_accumulates_no_turns() -> None:
    executor = Executor()
    bulk, interactive = SHARES[Priority.BULK], SHARES[Priority.INTERACTIVE]
    executor.push(*(Work("a", 1.0, share=interactive) for _ in range(100)))
    for _ in range(50):
        executor.step()
    executor.push(*(Work("a", 1.0, "b", bulk) for _ in range(50)))
    for _ in range(17):
        executor.step()
    assert Counter(item.share for item in executor.began[50:])[bulk] <= 2


def test_model_that_was_busy_before_an_idle_time_owes_nothing() -> None:
    executor = Executor()
    executor.push(*(Work("slow", 100.0) for _ in range(10)))
    executor.drain()
    executor.push(*(Work("fast", 1.0) for _ in range(10)))
    executor.push(*(Work("slow", 1.0) for _ in range(10)))
    for _ in range(4):
        executor.step()
    assert "slow" in [item.model for item in executor.began[10:14]]


def test_dropped_items_are_not_charged() -> None:
    executor = Executor()
    executor.learn(a=10.0, b=10.0)
    executor.push(*(Work("a", 0.0, "gone") for _ in range(50)))
    executor.push(*(Work("a", 10.0, "here") for _ in range(50)))
    executor.push(*(Work("b", 10.0) for _ in range(50)))
    while executor.now < 420:
        executor.step()
    assert abs(executor.used["a"] - executor.used["b"]) <= 30


def test_empty_queue_raises_index_error() -> None:
    with pytest.raises(IndexError):
        FairQueue[int]().pop()


@given(
    st.dictionaries(st.sampled_from("abcd"), COSTS, min_size=2),
    st.integers(1, 4),
    st.sampled_from([(NORMAL,), (16, 1)]),
)
def test_no_model_starves_and_all_get_the_same_time(
    costs: dict[str, float], threads: int, shares: tuple[int, ...]
) -> None:
    executor = Executor(threads)
    most = max(costs.values())
    for name, seconds in costs.items():
        for share in shares:
            count = int(40 * most * threads / seconds) + threads
            executor.push(*(Work(name, seconds, share=share) for _ in range(count)))
    while executor.now < 10 * most:
        executor.step()
    # Goyal, theorem 1, with one more item for each thread and priority.
    bound = 2 * most * (threads + 1) * len(shares)
    assert max(executor.used.values()) - min(executor.used[name] for name in costs) <= bound
    assert len(executor.used) == len(costs)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(list(SHARES.values()))), max_size=60),
    COSTS,
    COSTS,
    st.sampled_from(list(SHARES.values())),
)
def test_foreseen_wait_counts_the_work_that_runs_before(
    waiting: list[tuple[str, int]], cost: float, other_cost: float, share: int
) -> None:
    executor = Executor()
    costs = {"a": cost, "b": other_cost}
    executor.learn(**costs)
    executor.push(*(Work(model, costs[model], share=its) for model, its in waiting))
    mine = Work("a", cost, "me", share)
    expected = executor.queue.work_before(executor.turn(mine))
    wait = executor.queue.expected_wait(executor.turn(mine), 1, threads=1, held=len(waiting))
    assert wait <= executor.queue.longest_wait(threads=1, held=len(waiting)) + 1e-6
    executor.push(mine)
    while mine not in executor.began:
        executor.step()
    before = sum(item.seconds for item in executor.began if item is not mine)
    # Rounding: each other priority may have one item more or less, and the shares of those hold.
    assert 0 <= expected <= sum(costs[model] for model, _ in waiting) + 1e-6
    assert abs(expected - before) <= ROUNDING * max(costs.values())


def test_backlog_of_another_model_is_foreseen_as_its_turn_only() -> None:
    executor = Executor()
    executor.learn(slow=10.0, fast=1.0)
    executor.push(*(Work("slow", 10.0) for _ in range(1000)))
    executor.begin()
    wait = executor.queue.expected_wait(executor.turn(Work("fast", 1.0)), 1, threads=1)
    assert wait <= 10.0 / 2 + 10.0


def test_wait_behind_the_own_model_includes_the_turns_of_others() -> None:
    executor = Executor()
    executor.learn(slow=10.0, fast=1.0)
    executor.push(*(Work("slow", 10.0) for _ in range(1000)))
    executor.push(*(Work("fast", 1.0) for _ in range(100)))
    assert executor.queue.work_before(executor.turn(Work("fast", 1.0))) == pytest.approx(
        200, abs=11
    )


def test_idle_thread_means_no_wait() -> None:
    executor = Executor(threads=2)
    executor.learn(a=1.0)
    executor.push(Work("a", 1.0))
    executor.begin()
    turn = executor.turn(Work("a", 1.0))
    assert executor.queue.expected_wait(turn, 1, threads=2) == 0.0
    executor.push(Work("a", 1.0))
    executor.begin()
    assert executor.queue.expected_wait(turn, 1, threads=2) == pytest.approx(0.5)


def test_nothing_is_foreseen_before_costs_are_known() -> None:
    executor = Executor()
    executor.push(*(Work("a", 1.0) for _ in range(9)))
    assert executor.queue.expected_wait(executor.turn(Work("a", 1.0)), 1, threads=1) == 0.0
