"""Fair queue: turns of callers, shares of priorities, no losses, no starvation."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.scheduling.fair_queue import WEIGHTS, FairQueue, Priority

PRIORITIES = st.sampled_from(list(Priority))
OWNERS = st.sampled_from(["anna", "ben", "camera"])
ACTIONS = st.lists(st.one_of(st.tuples(OWNERS, PRIORITIES), st.none()), max_size=200)


def queue_of(*items: tuple[str, Priority]) -> FairQueue[tuple[str, Priority, int]]:
    queue: FairQueue[tuple[str, Priority, int]] = FairQueue()
    for number, (owner, priority) in enumerate(items):
        queue.push((owner, priority, number), owner, priority)
    return queue


def taken(
    queue: FairQueue[tuple[str, Priority, int]], count: int = -1
) -> list[tuple[str, Priority]]:
    count = len(queue) if count < 0 else count
    return [queue.pop()[:2] for _ in range(count)]


def test_single_caller_is_served_in_order() -> None:
    queue: FairQueue[int] = FairQueue()
    for number in range(5):
        queue.push(number, "anna", Priority.NORMAL)
    assert [queue.pop() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_busy_caller_delays_another_by_one_item() -> None:
    queue = queue_of(*[("camera", Priority.NORMAL)] * 1000, ("anna", Priority.NORMAL))
    owners = [owner for owner, _ in taken(queue, 2)]
    assert "anna" in owners


def test_callers_are_served_in_turn() -> None:
    queue = queue_of(*[(owner, Priority.NORMAL) for owner in "aaabbbccc"])
    assert "".join(owner for owner, _ in taken(queue)) == "abcabcabc"


def test_returning_caller_keeps_its_turn() -> None:
    queue = queue_of(("a", Priority.NORMAL), ("b", Priority.NORMAL), ("b", Priority.NORMAL))
    assert queue.pop()[0] == "a"
    queue.push(("a", Priority.NORMAL, 9), "a", Priority.NORMAL)
    assert [owner for owner, _ in taken(queue)] == ["b", "a", "b"]


def test_priorities_are_served_by_weight() -> None:
    queue = queue_of(*[(priority, priority) for priority in Priority for _ in range(210)])
    served = Counter(priority for _, priority in taken(queue, 210))
    assert served == {priority: 10 * weight for priority, weight in WEIGHTS.items()}


def test_urgent_item_precedes_waiting_bulk_items() -> None:
    queue = queue_of(*[("a", Priority.BULK)] * 5)
    queue.pop()
    queue.push(("b", Priority.INTERACTIVE, 9), "b", Priority.INTERACTIVE)
    assert queue.pop()[0] == "b"


def test_idle_caller_accumulates_no_turns() -> None:
    queue = queue_of(*[("a", Priority.INTERACTIVE)] * 100)
    taken(queue, 50)
    for number in range(50):
        queue.push(("b", Priority.BULK, number), "b", Priority.BULK)
    assert Counter(priority for _, priority in taken(queue, 17))[Priority.BULK] <= 2


def test_empty_queue_raises_index_error() -> None:
    with pytest.raises(IndexError):
        FairQueue[int]().pop()


@given(ACTIONS)
def test_every_item_is_popped_once_in_its_callers_order(
    actions: list[tuple[str, Priority] | None],
) -> None:
    queue: FairQueue[tuple[str, Priority, int]] = FairQueue()
    pushed, popped = 0, []
    for action in actions:
        if action is not None:
            queue.push((*action, pushed), *action)
            pushed += 1
        elif len(queue):
            popped.append(queue.pop())
        assert len(queue) == pushed - len(popped)
    while len(queue):
        popped.append(queue.pop())
    assert sorted(number for *_, number in popped) == list(range(pushed))
    by_flow = defaultdict(list)
    for owner, priority, number in popped:
        by_flow[owner, priority].append(number)
    assert all(numbers == sorted(numbers) for numbers in by_flow.values())


@given(st.lists(st.tuples(OWNERS, PRIORITIES), max_size=60), OWNERS, PRIORITIES)
def test_predicted_position_of_a_new_item_is_close(
    waiting: list[tuple[str, Priority]], owner: str, priority: Priority
) -> None:
    queue = queue_of(*waiting)
    expected = queue.ahead_of(owner, priority)
    queue.push((owner, priority, -1), owner, priority)
    before = 0
    while queue.pop()[2] != -1:
        before += 1
    # Rounding: each other priority may get one turn more or less than its share, with its weight.
    assert 0 <= expected <= len(waiting)
    assert abs(expected - before) <= max(WEIGHTS.values()) + 1
