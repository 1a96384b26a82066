"""Items of preprocessing: counted by whose fault it was, and timed if prepared."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from observability.metrics.preprocess_metrics import KINDS, RESULTS, PreprocessMetrics
from schemas.errors import InvalidImage, Overloaded, ServerFault


def values(registry: CollectorRegistry, kind: str) -> dict[str, float | None]:
    return {
        result: registry.get_sample_value(
            "potoo_preprocess_items_total", {"kind": kind, "result": result}
        )
        for result in RESULTS
    }


def test_every_series_exists_before_the_first_item() -> None:
    registry = CollectorRegistry()
    PreprocessMetrics(registry)
    for kind in KINDS:
        assert values(registry, kind) == dict.fromkeys(RESULTS, 0.0)
        assert registry.get_sample_value("potoo_preprocess_seconds_count", {"kind": kind}) == 0


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (InvalidImage(), "invalid"),
        (Overloaded(), "refused"),
        (ServerFault(), "failed"),
        (ZeroDivisionError(), "failed"),
        (asyncio.CancelledError(), None),
    ],
)
def test_errors_are_counted_by_whose_fault_it_was(error: BaseException, result: str | None) -> None:
    registry = CollectorRegistry()
    metrics = PreprocessMetrics(registry)
    with pytest.raises(type(error)), metrics.item("text"):
        raise error
    assert values(registry, "text") == dict.fromkeys(RESULTS, 0.0) | (
        {result: 1.0} if result else {}
    )
    assert registry.get_sample_value("potoo_preprocess_seconds_count", {"kind": "text"}) == 0


def test_prepared_items_are_timed() -> None:
    registry = CollectorRegistry()
    with PreprocessMetrics(registry).item("image"):
        pass
    assert values(registry, "image")["prepared"] == 1
    assert registry.get_sample_value("potoo_preprocess_seconds_count", {"kind": "image"}) == 1
