"""A server that exports its traces to a fake collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.callers.raw_http import PATIENCE
from tests.support.models.pictures import plain
from tests.support.servers.collector import Collector, Tree, collector
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01", f"00-{TRACE_ID}-{SPAN_ID}-00"
STAGES = ["queue", "decode", "preprocess", "inference", "postprocess"]


@dataclass(frozen=True)
class Traced:
    """The server and its collector."""

    server: LiveServer
    collector: Collector

    def classify(self, request_id: str, *, token: bool = True, **headers: str) -> httpx.Response:
        """Classify a picture over HTTP."""
        scope = {"authorization": f"Bearer {self.server.token()}"} if token else {}
        return httpx.post(
            f"{self.server.url}/v1/classify",
            content=plain(),
            headers={"content-type": "image/png", "x-request-id": request_id} | scope | headers,
            timeout=PATIENCE,
        )

    def trace_of(self, request_id: str) -> Tree:
        return self.collector.trace_of(request_id)

    def lines_of(self, request_id: str) -> list[str]:
        """Log lines of a request, once that of the access log is written."""
        access = '"logger":"access"'
        wait_until(lambda: any(access in line for line in self._lines_of(request_id)))
        return self._lines_of(request_id)

    def _lines_of(self, request_id: str) -> list[str]:
        return [line for line in self.server.events().splitlines() if f'"{request_id}"' in line]


@contextmanager
def traced(folder: Path, models: Path, **environment: str) -> Iterator[Traced]:
    """Trace all requests and send them at once, unless ``environment`` changes that."""
    with collector() as taking:
        given = {
            "POTOO_OBSERVABILITY__OTLP_ENDPOINT": taking.url,
            "POTOO_OBSERVABILITY__TRACE_SAMPLE_RATIO": "1",
            "POTOO_GRPC_PORT": "0",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        } | environment
        with serve(folder, models=models, arguments=(), **given) as server:
            yield Traced(server, taking)
            taking.goes_on.set()
