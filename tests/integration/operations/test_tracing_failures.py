"""A failing collector affects only traces; each of several workers exports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.callers.tensors import INFER, images, in_json
from tests.support.servers.databases import free_port
from tests.support.servers.server import serve
from tests.support.servers.traced import Traced, traced
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SHORT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
"""Limits the time of an export, retries included."""


def told(live: Traced) -> list[dict[str, Any]]:
    """Log events about the export."""
    lines = [json.loads(line) for line in live.server.events().splitlines()]
    return [line for line in lines if line["logger"] == "tracing"]


def dropped(live: Traced, reason: str) -> float:
    name = f'potoo_trace_spans_dropped_total{{reason="{reason}"}} '
    text = httpx.get(f"{live.server.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def test_refusing_collector_is_logged_once_until_it_recovers(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours) as live:
        live.collector.status = 404
        for number in range(5):
            assert live.classify(f"lost-{number}").status_code == 200
        assert wait_until(lambda: dropped(live, "not_sent") > 20)
        (line,) = told(live)
        assert (line["event"], line["level"]) == ("traces are not sent", "warning")
        assert line["reason"] == "status 404"
        live.collector.status = 200
        live.classify("found-again")
        live.trace_of("found-again")
        assert wait_until(lambda: len(told(live)) == 2)
        assert told(live)[1]["event"] == "traces are sent again"
        assert not live.collector.knows("lost-0")
    assert "Traceback" not in live.server.events()


def test_missing_collector_is_logged_and_does_not_affect_requests(
    tmp_path: Path, colours: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with traced(tmp_path, colours, POTOO_OBSERVABILITY__OTLP_ENDPOINT=nobody, **SHORT) as live:
        assert live.classify("unheard").status_code == 200
        assert wait_until(lambda: len(told(live)) == 1)
        assert told(live)[0]["reason"] == "ConnectionError"
        began = time.monotonic()
    assert time.monotonic() - began < 40, "it stops all the same"
    assert live.server.process.returncode == -signal.SIGTERM


def test_hanging_collector_delays_neither_requests_nor_stop(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours, OTEL_EXPORTER_OTLP_TIMEOUT="60") as live:
        live.collector.goes_on.clear()
        with live.server.client("infer") as client:
            # The queue fills, whole traces are dropped, and all requests are answered.
            for _ in range(100):
                assert client.post(INFER, json=in_json(images(30))).status_code == 200
        assert dropped(live, "queue_full") > 1000
        live.server.process.terminate()
        live.server.process.wait(60)
        assert live.server.process.returncode == -signal.SIGTERM
        (line,) = told(live)
        assert line["event"] == "spans were not sent"
        assert line["spans"] > 1000


def test_remaining_spans_are_sent_on_stop(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours, OTEL_BSP_SCHEDULE_DELAY="3600000") as live:
        live.classify("the-last")
        assert not live.collector.knows("the-last")
    assert live.collector.knows("the-last")
    assert told(live) == []


def test_every_worker_sends_its_own_spans(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours, POTOO_WORKERS="2") as live:

        def senders() -> int:
            live.classify("by-one-of-them")
            live.trace_of("by-one-of-them")
            return len({span.resource["process.pid"] for span in live.collector.spans})

        assert wait_until(lambda: senders() == 2)
        openmetrics = {"accept": "application/openmetrics-text"}
        text = httpx.get(f"{live.server.url}/metrics", headers=openmetrics).text
        assert "potoo_http_request_duration_seconds_bucket" in text
        assert "# {" not in text, "several processes cannot share examples"


def test_invalid_opentelemetry_variable_fails_the_start(tmp_path: Path, colours: Path) -> None:
    command = [sys.executable, "-m", "service", "serve", "--port", "0", "--models", str(colours)]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)],
        env={
            "POTOO_OBSERVABILITY__OTLP_ENDPOINT": "http://127.0.0.1:4318",
            "POTOO_ADMIN_PASSWORD": "a password for tests",
            "OTEL_BSP_SCHEDULE_DELAY": "-1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if "cannot start" in line]
    assert line["reason"].startswith("tracing: an OTEL_... variable is invalid: ")
    assert "Traceback" not in done.stderr


OFF = """
import asyncio, sys
from pathlib import Path
import httpx
from service.app import create_app
from service.settings import load_settings

async def main():
    settings = load_settings(models=Path(sys.argv[1]), data_dir=Path(sys.argv[2]), grpc_port=0)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://potoo") as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.post("/v1/classify")).status_code == 401
            assert (await client.get("/metrics")).status_code == 200

asyncio.run(main())
heavy = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "requests")
print([name for name in sys.modules if name.startswith(heavy)])
"""


def test_disabled_tracing_loads_no_opentelemetry(tmp_path: Path, colours: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFF, str(colours), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"POTOO_ADMIN_PASSWORD": "a password for tests", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_instrumentation_modules_import_no_opentelemetry() -> None:
    """FastAPI imports OpenTelemetry's API if it is installed; our own code does not."""
    modules = "observability.middleware, observability.tracing.tracing, service.core.serving.model"
    script = f"import sys, {modules}; print([m for m in sys.modules if 'opentelemetry' in m])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def test_log_lines_without_tracing_name_only_the_request(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server, server.client() as client:
        client.get("/v1/models", headers={"x-request-id": "untraced"})
        assert wait_until(lambda: '"untraced"' in server.events())
        (line,) = [line for line in server.events().splitlines() if '"untraced"' in line]
        assert "trace_id" not in line
        text = client.get("/metrics", headers={"accept": "application/openmetrics-text"}).text
        assert "# {" not in text
