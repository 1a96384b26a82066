"""Costs of single parts of a request, in microseconds of CPU."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr
from pathlib import Path

import httpx
import orjson

from auth.limiting.limits import Allowance
from auth.principal import ALL_SCOPES
from auth.settings import AuthSettings
from benchmarks.support import photo
from observability.logs.logging import configure_logging
from observability.metrics.metrics import Metrics
from observability.metrics.model_metrics import STAGES
from observability.middleware import Message, ObservabilityMiddleware, Receive, Scope, Send
from observability.settings import ObservabilitySettings
from observability.tracing.otlp import OtlpSender
from observability.tracing.span import Trace
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    Named,
    Prediction,
    Summary,
    Timing,
)
from service.runtime.identity import open_identity
from service.settings import load_settings
from service.transport.http.body.multipart import parse_form
from service.transport.http.middleware.media_type import parse_media_type
from tests.support.servers.collector import collector

ROUNDS = 7
CALLS = 2000
SPANS = 9


def measure() -> dict[str, float]:
    """Return microseconds a call by part, the best of a few rounds."""
    # The access log is written to the null device.
    with (
        tempfile.TemporaryDirectory() as name,
        Path(os.devnull).open("w") as null,
        redirect_stderr(null),
    ):
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> dict[str, float]:
    auth = AuthSettings(rate_per_principal="1000000/minute")
    settings = load_settings(data_dir=folder, auth=auth)
    async with open_identity(settings, Metrics()) as identity:
        token = identity.signer.issue("bench", ALL_SCOPES, 3600)
        authenticator, limiter = identity.authenticator, identity.limiter
        await authenticator.authenticate(token)

        async def anew() -> None:
            authenticator.forget()
            await authenticator.authenticate(token)

        costs = {
            "token, seen before": await best(lambda: authenticator.authenticate(token)),
            "token, new (ES256)": await best(anew, calls=200),
            "rate limit": await best(lambda: limiter.count_principal("bench", Allowance())),
        }
    form, answer = _form(), _answer()
    costs["multipart form"] = await best(_as_async(form))
    costs["answer to JSON"] = await best(_as_async(answer))
    costs["id and metrics"] = await _middleware_cost(access_log=False)
    costs["id, metrics and access log"] = await _middleware_cost(access_log=True)
    costs["trace of nine spans"] = _trace_cost()
    return costs


def _trace_cost(traces: int = 200) -> float:
    """Measure the cost of a sampled classification until its spans are queued for export."""
    settings, rounds = ObservabilitySettings(), []
    for _ in range(ROUNDS):
        with collector() as received:
            told = settings.model_copy(update={"otlp_endpoint": received.url})
            sender = OtlpSender(told, "bench", Metrics())
            began = time.thread_time()
            for _ in range(traces):
                sender.send(_trace())
            rounds.append((time.thread_time() - began) / traces * 1e6)
            sender.close()
            received.until(lambda seen: len(seen.spans) == traces * SPANS)
    return min(rounds)


def _trace() -> Trace:
    trace = Trace("", lambda _: None)
    trace.sample()
    trace.name, now = "POST /v1/classify", time.perf_counter()
    for name in ("authenticate", "read body"):
        trace.add(name, now, now)
    work = trace.branch("classify", {"potoo.model": "everyday", "potoo.version": 1})
    assert work
    for stage in STAGES:
        work.add(stage, now, now)
    return trace


def _as_async(call: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def wrapped() -> object:
        return call()

    return wrapped


async def best(call: Callable[[], Awaitable[object]], calls: int = CALLS) -> float:
    """Return microseconds of CPU a call, the best of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(calls):
            await call()
        rounds.append((time.process_time() - began) / calls * 1e6)
    return min(rounds)


def _form() -> Callable[[], object]:
    request = httpx.Request("POST", "http://bench", files={"file": ("a.jpg", photo.jpeg())})
    body, kind = request.read(), request.headers["content-type"]
    return lambda: parse_form(parse_media_type(kind), body, max_parts=8, max_file_name_chars=255)


def _answer() -> Callable[[], object]:
    answer = Classification(
        Summary("class", 0.9, 1, Named("class 0", 0.1)),
        [Prediction(f"class {k}", k, 0.1) for k in range(5)],
        None,
        abstained=False,
        calibrated=True,
        image=ImageFacts("JPEG", 500, 375),
        timing=Timing(1.0, 0.1, 1.0, 2.2),
    )
    return lambda: orjson.dumps({"result": answer})


async def _middleware_cost(*, access_log: bool) -> float:
    """Measure the cost that ObservabilityMiddleware adds to a trivial application."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None:
        return None

    configure_logging(ObservabilitySettings(log_format="json"))
    watched = ObservabilityMiddleware(app, metrics=Metrics(), access_log=access_log)

    async def rounds(target: Callable[[Scope, Receive, Send], object]) -> float:
        results = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(CALLS):
                scope = {"type": "http", "method": "POST", "headers": [], "state": {}}
                await target(scope, receive, send)  # type: ignore[misc]
            results.append((time.process_time() - began) / CALLS * 1e6)
        return min(results)

    return await rounds(watched) - await rounds(app)
