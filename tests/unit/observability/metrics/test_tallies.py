"""Metrics counted per thread: the sums are those of prometheus-client."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from observability.metrics.tallies import (
    LatestGauge,
    TalliedCounter,
    TalliedGauge,
    TalliedHistogram,
)

BUCKETS = (0.1, 1.0, 10.0)
AMOUNTS = (0.05, 0.1, 0.5, 1.0, 9.0, 10.0, 11.0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_counts_of_all_threads_are_summed_also_of_those_that_ended(
    registry: CollectorRegistry,
) -> None:
    counter = TalliedCounter("items", "Items.", ["kind"], registry=registry)
    child = counter.labels("a")

    def count() -> None:
        for _ in range(1000):
            child.inc()

    in_threads(4, count)
    child.inc(5)
    for _ in range(2):  # a scrape does not change the sum
        assert registry.get_sample_value("items_total", {"kind": "a"}) == 4005


def test_histogram_has_the_buckets_of_prometheus_client(registry: CollectorRegistry) -> None:
    theirs = CollectorRegistry()
    ours = TalliedHistogram("t", "T.", ["k"], buckets=BUCKETS, registry=registry).labels("a")
    usual = Histogram("t", "T.", ["k"], buckets=BUCKETS, registry=theirs).labels("a")
    for amount in AMOUNTS:
        ours.observe(amount)
        usual.observe(amount)
    lines = [
        {line for line in generate_latest(one).splitlines() if b"_created" not in line}
        for one in (registry, theirs)
    ]
    assert lines[0] == lines[1]


def test_observation_with_an_exemplar_is_counted_once(registry: CollectorRegistry) -> None:
    histogram = TalliedHistogram("t", "T.", ["k"], buckets=BUCKETS, registry=registry).labels("a")
    histogram.observe(0.5)
    histogram.observe(0.6, {"trace_id": "0" * 32})
    assert registry.get_sample_value("t_count", {"k": "a"}) == 2
    assert registry.get_sample_value("t_sum", {"k": "a"}) == pytest.approx(1.1)


def test_gauges_show_the_difference_and_the_last_value(registry: CollectorRegistry) -> None:
    running = TalliedGauge("running", "R.", registry=registry)
    depth = LatestGauge("depth", "D.", ["k"], registry=registry)
    assert registry.get_sample_value("running") == 0
    running.inc()
    in_threads(3, running.inc)
    running.dec()
    for value in (3, 7, 2):
        depth.labels("a").set(value)
    assert registry.get_sample_value("running") == 3
    assert registry.get_sample_value("depth", {"k": "a"}) == 2


def test_observation_takes_no_lock(registry: CollectorRegistry) -> None:
    histogram = TalliedHistogram("t", "T.", ["k"], buckets=BUCKETS, registry=registry).labels("a")
    histogram.observe(0.5)  # creates the numbers of this thread
    taken: list[object] = []

    class Watched:
        def inc(self, amount: float) -> None:
            taken.append(amount)

    histogram._sum = Watched()
    histogram.observe(0.5)
    assert not taken
