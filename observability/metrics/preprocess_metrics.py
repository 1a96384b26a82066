"""Prometheus metrics of preprocessing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

from schemas.errors import CallerError, CapacityError

Kind = Literal["image", "numeric", "text"]
KINDS: tuple[Kind, ...] = ("image", "numeric", "text")
RESULTS = ("prepared", "invalid", "refused", "failed")
"""Prepared; or not, by whose fault: of the item, of a busy server, of the server."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class PreprocessMetrics:
    """The series of preprocessing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._items = Counter(
            "potoo_preprocess_items",
            "Images, batches of rows and texts prepared, or not.",
            ["kind", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "potoo_preprocess_seconds",
            "From a complete item to its tensor, waiting for a worker included.",
            ["kind"],
            buckets=BUCKETS,
            registry=registry,
        )
        for kind in KINDS:
            self._seconds.labels(kind)
            for result in RESULTS:
                self._items.labels(kind, result)

    @contextmanager
    def item(self, kind: Kind, count: int = 1) -> Iterator[None]:
        """Count and time the items that the block prepares; a caller that left is not counted."""
        began = time.perf_counter()
        try:
            yield
        except CallerError:
            self._items.labels(kind, "invalid").inc(count)
            raise
        except CapacityError:
            self._items.labels(kind, "refused").inc(count)
            raise
        except Exception:
            self._items.labels(kind, "failed").inc(count)
            raise
        self._items.labels(kind, "prepared").inc(count)
        self._seconds.labels(kind).observe(time.perf_counter() - began)
