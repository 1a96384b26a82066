"""Turns of the callers of one model: order, weights, no losses, foreseen places."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.engine.caller_queue import CallerQueue

OWNERS = st.sampled_from(["anna", "ben", "camera"])
WEIGHTS = st.integers(1, 100)
ACTIONS = st.lists(st.one_of(st.tuples(OWNERS, WEIGHTS), st.none()), max_size=200)


def queue_of(owners: str, **weights: int) -> CallerQueue[str]:
    queue: CallerQueue[str] = CallerQueue()
    for owner in owners:
        queue.push(owner, owner, weights.get(owner, 1))
    return queue


def taken(queue: CallerQueue[str], count: int = -1) -> str:
    count = queue.size if count < 0 else count
    return "".join(queue.pop()[0] for _ in range(count))


def test_callers_are_served_in_turn() -> None:
    assert taken(queue_of("aaabbbccc")) == "abcabcabc"


def test_busy_caller_delays_another_by_one_item() -> None:
    assert "z" in taken(queue_of("a" * 1000 + "z"), 2)


def test_returning_caller_keeps_its_turn() -> None:
    queue = queue_of("abb")
    assert taken(queue, 1) == "a"
    queue.push("a", "a", 1)
    assert taken(queue) == "bab"


def test_returning_caller_does_not_starve_a_waiting_one() -> None:
    queue = queue_of("bbb")
    served = ""
    for _ in range(6):
        queue.push("a", "a", 1)
        served += taken(queue, 1)
    assert served.count("b") == 3


def test_callers_are_served_by_weight() -> None:
    queue = queue_of("a" * 100 + "b" * 100, a=3)
    assert Counter(taken(queue, 100)) == {"a": 75, "b": 25}


def test_heavy_caller_is_interleaved_with_others() -> None:
    queue = queue_of("a" * 40 + "b" * 10, a=4)
    assert "a" * 9 not in taken(queue, 40)


def test_new_weight_holds_from_the_next_item_on() -> None:
    queue = queue_of("a" * 50 + "b" * 150)
    queue.push("a", "a", 4)
    assert queue.weight == 5
    assert Counter(taken(queue, 50))["a"] == pytest.approx(40, abs=1)


def test_empty_queue_raises_index_error() -> None:
    with pytest.raises(IndexError):
        CallerQueue[int]().pop()


@given(ACTIONS)
def test_every_item_is_popped_once_in_its_callers_order(
    actions: list[tuple[str, int] | None],
) -> None:
    queue: CallerQueue[tuple[str, int]] = CallerQueue()
    pushed, popped = 0, []
    for action in actions:
        if action is not None:
            queue.push((action[0], pushed), *action)
            pushed += 1
        elif queue.size:
            popped.append(queue.pop()[0])
        assert queue.size == pushed - len(popped)
    while queue.size:
        popped.append(queue.pop()[0])
    assert sorted(number for _, number in popped) == list(range(pushed))
    assert queue.weight == 0
    by_owner = defaultdict(list)
    for owner, number in popped:
        by_owner[owner].append(number)
    assert all(numbers == sorted(numbers) for numbers in by_owner.values())


@given(st.dictionaries(st.sampled_from("abcd"), WEIGHTS, min_size=2))
def test_shares_of_waiting_callers_are_proportional(weights: dict[str, int]) -> None:
    queue = queue_of("".join(owner * 1000 for owner in weights), **weights)
    served = Counter(taken(queue, 1000))
    total = sum(weights.values())
    for owner, weight in weights.items():
        # One item of rounding for each caller.
        assert abs(served[owner] - 1000 * weight / total) <= len(weights)


@given(st.lists(OWNERS, max_size=60), st.dictionaries(OWNERS, WEIGHTS), OWNERS, st.integers(1, 5))
def test_predicted_position_of_new_items_is_close(
    waiting: list[str], weights: dict[str, int], owner: str, count: int
) -> None:
    queue: CallerQueue[int] = CallerQueue()
    for each in waiting:
        queue.push(0, each, weights.get(each, 1))
    expected = queue.ahead_of(owner, weights.get(owner, 1), count)
    for number in range(count):
        queue.push(number + 1, owner, weights.get(owner, 1))
    popped = [queue.pop()[0] for _ in range(queue.size)]
    before = popped[: popped.index(count)].count(0)
    assert 0 <= expected <= len(waiting)
    # Each other caller may have less waiting than its share, which others of its size take.
    limited = sum(1 for each in set(waiting) - {owner})
    if limited <= 1:
        assert abs(expected - before) <= 2
