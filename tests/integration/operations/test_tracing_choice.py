"""Sampling of traces: a share of requests, and ``traceparent`` of authenticated callers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.pb import potoo_pb2
from tests.support.callers.rpc import connected
from tests.support.models.pictures import plain
from tests.support.servers.collector import Tree
from tests.support.servers.traced import NOT_SAMPLED, SAMPLED, SPAN_ID, TRACE_ID, Traced, traced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def of_none(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Traced]:
    """A server that traces only requests with a sampled parent."""
    with traced(
        tmp_path_factory.mktemp("of-none"),
        colours,
        POTOO_OBSERVABILITY__TRACE_SAMPLE_RATIO="0",
        POTOO_OBSERVABILITY__TRACE_PARENTS_PER_SECOND="1000",
    ) as both:
        yield both


@pytest.fixture(scope="module")
def of_all(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Traced]:
    """A server that traces all requests unless the caller's trace is not sampled."""
    with traced(tmp_path_factory.mktemp("of-all"), colours) as both:
        yield both


def check_continued(tree: Tree) -> None:
    assert (tree.root.trace_id, tree.root.parent_id) == (TRACE_ID, SPAN_ID)
    assert {span.trace_id for span in tree.spans} == {TRACE_ID}


def check_untraced(live: Traced, request_id: str) -> None:
    """Check that a request was not traced, once a later one was."""
    live.classify(f"after-{request_id}", traceparent=SAMPLED)
    live.trace_of(f"after-{request_id}")
    assert not live.collector.knows(request_id)
    assert all("trace_id" not in line for line in live.lines_of(request_id))


def test_authenticated_callers_trace_is_continued(of_none: Traced) -> None:
    of_none.classify("continued", traceparent=SAMPLED)
    tree = of_none.trace_of("continued")
    check_continued(Tree([s for s in tree.spans if s.parent_id == SPAN_ID][-1:]))
    (line,) = of_none.lines_of("continued")
    assert f'"trace_id":"{TRACE_ID}"' in line


def test_authenticated_grpc_callers_trace_is_continued(of_none: Traced) -> None:
    with connected(of_none.server) as client:
        request = potoo_pb2.PredictRequest(image_data=plain())
        client.call("Predict", request, x_request_id="continued-rpc", traceparent=SAMPLED)
    (root,) = [
        span
        for span in of_none.trace_of("continued-rpc").spans
        if span.facts.get("potoo.request_id") == "continued-rpc"
    ]
    assert (root.trace_id, root.parent_id) == (TRACE_ID, SPAN_ID)


def test_unrequested_traces_are_not_recorded(of_none: Traced) -> None:
    of_none.classify("unasked")
    of_none.classify("not-sampled", traceparent=NOT_SAMPLED)
    check_untraced(of_none, "unasked")
    check_untraced(of_none, "not-sampled")


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        SAMPLED.upper(),
        f"{SAMPLED},{SAMPLED}",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"{SAMPLED}-more",
        "0" * 5000,
    ],
)
def test_invalid_traceparent_is_ignored(of_none: Traced, traceparent: str) -> None:
    name = f"invalid-{abs(hash(traceparent))}"
    assert of_none.classify(name, traceparent=traceparent).status_code == 200
    check_untraced(of_none, name)


def test_unauthenticated_callers_cannot_request_traces(of_none: Traced) -> None:
    of_none.classify("a-stranger", token=False, traceparent=SAMPLED)
    of_none.classify("a-forger", token=False, authorization="Bearer a.b.c", traceparent=SAMPLED)
    httpx.get(
        f"{of_none.server.url}/healthz",
        headers={"traceparent": SAMPLED, "x-request-id": "a-probe"},
    )
    for name in ("a-stranger", "a-forger", "a-probe"):
        check_untraced(of_none, name)


def test_unauthenticated_call_gets_its_own_trace(of_all: Traced) -> None:
    of_all.classify("an-own", token=False, traceparent=SAMPLED)
    root = of_all.trace_of("an-own").root
    assert root.trace_id != TRACE_ID
    assert root.parent_id == ""


def test_authenticated_caller_can_decline_tracing(of_all: Traced) -> None:
    of_all.classify("please-not", traceparent=NOT_SAMPLED)
    check_untraced(of_all, "please-not")


def test_requested_traces_are_rate_limited(tmp_path: Path, colours: Path) -> None:
    with traced(
        tmp_path,
        colours,
        POTOO_OBSERVABILITY__TRACE_SAMPLE_RATIO="0",
        POTOO_OBSERVABILITY__TRACE_PARENTS_PER_SECOND="0.001",
    ) as live:
        for number in range(5):
            live.classify(f"asks-{number}", traceparent=SAMPLED)
        live.trace_of("asks-0")
    # The remaining spans were sent at the stop.
    assert [live.collector.knows(f"asks-{number}") for number in range(5)] == [True] + 4 * [False]


def test_configured_share_of_requests_is_traced(tmp_path: Path, colours: Path) -> None:
    with traced(tmp_path, colours, POTOO_OBSERVABILITY__TRACE_SAMPLE_RATIO="0.5") as live:
        names = [f"one-of-{number}" for number in range(60)]
        for name in names:
            httpx.get(f"{live.server.url}/healthz", headers={"x-request-id": name})
    # 60 random draws: outside of this range once in a million runs.
    assert 11 <= sum(map(live.collector.knows, names)) <= 49
