"""A real Prometheus takes the trace ids beside our histograms, so that Grafana can show them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.databases import free_port, missing
from tests.integration.raw_http import wait_until
from tests.integration.traced import Traced, traced

PATIENCE = 60.0
ALL_HISTOGRAMS = '{__name__=~"potoo_.+_duration_seconds_bucket"}'


@contextmanager
def prometheus(folder: Path, live: Traced) -> Iterator[str]:
    """Scrapes a server every second and keeps exemplars; its URL."""
    program = shutil.which("prometheus")
    if program is None:
        missing("prometheus")
    host, port = live.server.address
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: potoo, static_configs: [{{targets: ['{host}:{port}']}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                str(program),
                *(f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}"),
                *(f"--web.listen-address={address}", "--enable-feature=exemplar-storage"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def test_prometheus_keeps_what_a_graph_leads_to(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours) as live, prometheus(tmp_path, live) as url:
        live.classify("from-a-graph")
        wanted = live.trace_of("from-a-graph").root.trace_id

        def kept() -> list[Any]:
            query = {"query": ALL_HISTOGRAMS, "start": "0", "end": "99999999999"}
            try:
                answer = httpx.get(f"{url}/api/v1/query_exemplars", params=query)
            except httpx.TransportError:
                return []
            if not answer.is_success:  # it listens before it is ready
                return []
            return [
                series["seriesLabels"]["__name__"]
                for series in answer.json().get("data") or []
                for exemplar in series["exemplars"]
                if exemplar["labels"] == {"trace_id": wanted}
            ]

        names = {
            "potoo_http_request_duration_seconds_bucket",
            "potoo_stage_duration_seconds_bucket",
        }
        assert wait_until(lambda: names <= set(kept()), patience=PATIENCE)
