"""The autoscaling queries: equal to those of the thresholds, evaluated like Prometheus."""

from __future__ import annotations

import numpy as np
import pytest

from tools.autoscaling import policies, study
from tools.autoscaling.books import Books
from tools.autoscaling.prometheus import Prometheus, quantile


def scraped(*rounds: tuple[int, int, int]) -> Prometheus:
    """Samples: images that two replicas hold in all, answers and rejections since the last one."""
    prometheus, books = Prometheus(), Books()
    for depth, answers, rejections in rounds:
        for _ in range(answers):
            books.answered(0, now=0.3, waited=0.2, seconds=0.1, owner="a")
        for _ in range(rejections):
            books.refused(0, "a")
        prometheus.scraped([depth, 0], books.counted())
    return prometheus


def test_query_without_samples_has_no_answer() -> None:
    prometheus = Prometheus()
    asked = {"in_flight": (), "queue_wait": (), "queue_ratio": (), "latency": ()}
    for query, arguments in (asked | {"demand": (5,), "rejections": (5,)}).items():
        assert prometheus.ask(query, *arguments) is None


def test_idle_queue_has_no_quantile_or_ratio() -> None:
    prometheus = scraped((0, 0, 0), (0, 0, 0))
    assert prometheus.ask("queue_wait") is None
    assert prometheus.ask("queue_ratio") is None
    assert prometheus.ask("demand", 5) == 0


def test_in_flight_is_the_last_bounded_sample() -> None:
    prometheus = scraped((3, 0, 0), (40, 0, 0))
    assert prometheus.ask("in_flight") == 40
    assert prometheus.ask("in_flight", 10) == 10


def test_rates_are_growth_within_the_window() -> None:
    prometheus = scraped(*[(9, 50, 25)] * 12)
    assert prometheus.ask("demand", 5) == pytest.approx(15)  # (50 + 25) / 5 s
    assert prometheus.ask("demand", 10) == pytest.approx(10)  # refused although no replica was busy
    assert prometheus.ask("rejections", 5) == pytest.approx(150)  # 5 a second for 30 s
    assert prometheus.ask("rejections", 10) == 0
    assert prometheus.ask("queue_ratio") == pytest.approx(2)


def test_samples_outside_the_window_are_ignored() -> None:
    prometheus = scraped((9, 0, 99), *[(9, 0, 0)] * 6)
    assert prometheus.ask("rejections", 5) == 0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 100, 0, 0], 1.95),  # linear within the bucket from 1 to 2
        ([90, 10, 0, 0], 1.5),
        ([0, 0, 100, 0], 2 + 0.95 * 3),
        ([0, 0, 0, 7], 5),  # beyond the last bound
    ],
)
def test_quantile_is_interpolated_from_buckets(counts: list[int], expected: float) -> None:
    assert quantile(0.95, (1.0, 2.0, 5.0), np.asarray(counts)) == pytest.approx(expected)


def test_simulated_queries_match_the_thresholds_document() -> None:
    """A changed query of the document needs a change of ``prometheus.py``."""
    where = study.calibrated("resnet50")
    document = where.document
    model = '{model="resnet50"}'
    most, busy = 2 * document["triggers"]["in_flight"]["target"], where.busy
    refused = 'potoo_rejections_total{reason=~"queue_full|would_be_late"}'
    queries = {name: entry.get("query") for name, entry in document["triggers"].items()}
    assert queries == {
        "in_flight": f"sum(clamp_max(potoo_queue_depth{model}, {most}))",
        "demand": f"sum(rate(potoo_predictions_total{model}[20s])) + "
        f"sum(rate({refused}[20s])) * "
        f"(max(max_over_time(potoo_queue_depth{model}[30s])) >= bool {busy:g})",
        "rejections": f"sum(increase({refused}[30s])) and "
        f"max(max_over_time(potoo_queue_depth{model}[30s])) >= {busy:g}",
        "cpu": None,
    }
    ours = policies.shipped(where)
    assert [trigger.query for trigger in ours.triggers] == list(queries)
    assert ours.triggers[0].arguments == (most,)
