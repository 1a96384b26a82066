"""A real Prometheus stores the exemplars of the histograms."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.databases import free_port, missing
from tests.support.servers.traced import Traced, traced
from tests.support.waiting import wait_until
from tools.prometheus.running import Prometheus, running

pytestmark = pytest.mark.slow

PATIENCE = 60.0
ALL_HISTOGRAMS = '{__name__=~"potoo_.+_duration_seconds_bucket"}'


@contextmanager
def prometheus(folder: Path, live: Traced) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a server every second."""
    if shutil.which("prometheus") is None:
        missing("prometheus")
    host, port = live.server.address
    job = {"job_name": "potoo", "static_configs": [{"targets": [f"{host}:{port}"]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    with running(folder, free_port(), config) as server:
        yield server


def test_prometheus_stores_trace_exemplars(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours) as live, prometheus(tmp_path, live) as server:
        live.classify("from-a-graph")
        wanted = live.trace_of("from-a-graph").root.trace_id

        def kept() -> list[Any]:
            found = server.get("query_exemplars", query=ALL_HISTOGRAMS, start=0, end=99999999999)
            return [
                series["seriesLabels"]["__name__"]
                for series in found or []
                for exemplar in series["exemplars"]
                if exemplar["labels"] == {"trace_id": wanted}
            ]

        names = {
            "potoo_http_request_duration_seconds_bucket",
            "potoo_stage_duration_seconds_bucket",
        }
        assert wait_until(lambda: names <= set(kept()), patience=PATIENCE)
