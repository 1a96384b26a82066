"""The spans of every kind of request, as a collector gets them from a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from schemas.pb import open_inference_pb2 as pb
from tests.support.callers.rpc import Client, connected, files, refusal, tensor
from tests.support.callers.tensors import INFER, images, in_json
from tests.support.models.pictures import plain
from tests.support.servers.collector import Tree
from tests.support.servers.server import PASSWORD
from tests.support.servers.traced import STAGES, Traced, traced

SECRET = "a-key-of-the-collector"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Traced]:
    with traced(
        tmp_path_factory.mktemp("traced"),
        colours,
        OTEL_EXPORTER_OTLP_HEADERS=f"x-key={SECRET}",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=tests",
    ) as both:
        yield both


@pytest.fixture(scope="module")
def http(live: Traced) -> Iterator[httpx.Client]:
    with live.server.client("classify infer models:read") as client:
        yield client


@pytest.fixture(scope="module")
def rpc(live: Traced) -> Iterator[Client]:
    with connected(live.server) as client:
        yield client


def check_times(tree: Tree) -> None:
    """Check that child spans lie within their parent's time, to a tenth of a millisecond."""
    spans = {span.span_id: span for span in tree.spans}
    for span in tree.spans:
        assert span.begin <= span.end, span
        if parent := spans.get(span.parent_id):
            assert parent.begin - 100_000 <= span.begin, (parent, span)
            assert span.end <= parent.end + 100_000, (parent, span)


def test_classification_trace_shows_every_stage(live: Traced) -> None:
    assert live.classify("one-picture").status_code == 200
    tree = live.trace_of("one-picture")
    root = tree.root
    assert (root.name, root.parent_id, root.is_error) == ("POST /v1/classify", "", False)
    assert root.facts == {
        "http.request.method": "POST",
        "http.route": "/v1/classify",
        "http.response.status_code": 200,
        "http.request.body.size": len(plain()),
        "http.response.body.size": root.facts["http.response.body.size"],
        "client.address": "127.0.0.1",
        "potoo.request_id": "one-picture",
    }
    assert tree.names() == ["authenticate", "receive", "classify"]
    call = tree.only("classify")
    assert call.facts == {"potoo.model.name": "colours", "potoo.model.version": 1}
    assert tree.names(call) == STAGES
    assert tree.only("inference").facts == {"potoo.batch.size": 1}
    assert len({span.trace_id for span in tree.spans}) == 1
    check_times(tree)


def test_trace_resource_combines_own_and_opentelemetry_settings(live: Traced) -> None:
    live.classify("who-sends")
    resource = live.trace_of("who-sends").root.resource
    assert resource["service.name"] == "potoo"
    assert resource["deployment.environment.name"] == "tests"
    assert {"service.version", "host.name", "process.pid"} <= resource.keys()
    assert live.collector.paths[-1] == "/v1/traces"
    assert live.collector.headers[-1]["x-key"] == SECRET


def test_every_file_of_a_batch_has_its_own_spans(live: Traced, http: httpx.Client) -> None:
    parts = [("files", (name, data)) for name, data in (("a", plain()), ("b", b"nonsense"))]
    http.post("/v1/classify/batch", files=parts, headers={"x-request-id": "batch"})
    tree = live.trace_of("batch")
    assert (tree.root.name, tree.root.is_error) == ("POST /v1/classify/batch", False)
    assert tree.names() == ["authenticate", "receive", "classify", "classify"]
    (good,) = [span for span in tree.below(tree.root) if tree.names(span) == STAGES]
    (bad,) = [span for span in tree.below(tree.root) if tree.names(span) == ["queue", "decode"]]
    assert "error.type" not in good.facts
    assert bad.facts["error.type"] == "unsupported_image"
    assert tree.below(bad)[-1].facts["error.type"] == "unsupported_image"
    check_times(tree)


def test_large_batch_trace_is_truncated(live: Traced, http: httpx.Client) -> None:
    answer = http.post(INFER, json=in_json(images(60)), headers={"x-request-id": "many"})
    assert answer.status_code == 200
    tree = live.trace_of("many")
    items = tree.below(tree.only("infer"))
    assert [item.facts["potoo.item"] for item in items] == list(range(len(items)))
    assert 10 < len(items) < 30
    assert tree.root.facts["potoo.spans_left_out"] == 60 - len(items)
    assert all(tree.names(item) == ["queue", "inference", "postprocess"] for item in items)


def test_tensor_trace_has_no_image_stages(live: Traced, http: httpx.Client) -> None:
    http.post(INFER, json=in_json(images(1)), headers={"x-request-id": "tensors"})
    tree = live.trace_of("tensors")
    assert tree.root.name == "POST /v2/models/{name}/infer"
    assert tree.names() == ["authenticate", "receive", "infer"]
    assert tree.names(tree.only("infer")) == ["queue", "inference", "postprocess"]


def test_rpc_trace_shows_every_stage(live: Traced, rpc: Client) -> None:
    rpc.call("ModelInfer", files(plain()), x_request_id="an-rpc")
    tree = live.trace_of("an-rpc")
    assert tree.root.name == "inference.GRPCInferenceService/ModelInfer"
    assert tree.root.facts == {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "rpc.grpc.status_code": 0,
        "client.address": "127.0.0.1",
        "potoo.request_id": "an-rpc",
    }
    assert tree.names() == ["authenticate", "receive", "infer"]
    assert tree.names(tree.only("infer")) == STAGES
    check_times(tree)


def test_stream_is_one_trace(live: Traced) -> None:
    with connected(live.server) as client:
        before = len(live.collector.spans)
        assert len(list(client.stream("ModelStreamInfer", [tensor(images(1))] * 3))) == 3
        live.collector.until(
            lambda c: any(s.name.endswith("ModelStreamInfer") for s in c.spans[before:])
        )
        found = live.collector.spans[before:]
        (root,) = [span for span in found if span.name.endswith("ModelStreamInfer")]
        tree = Tree([span for span in found if span.trace_id == root.trace_id])
    assert tree.names().count("infer") == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"no image", 415, "unsupported_image"), (plain()[:60], 422, "invalid_image")],
)
def test_image_error_is_recorded_on_its_stage(
    live: Traced, http: httpx.Client, body: bytes, status: int, code: str
) -> None:
    headers = {"content-type": "image/png", "x-request-id": f"bad-{status}"}
    assert http.post("/v1/classify", content=body, headers=headers).status_code == status
    tree = live.trace_of(f"bad-{status}")
    assert tree.root.facts["http.response.status_code"] == status
    assert not any(span.is_error for span in tree.spans), "it is the caller's fault"
    for name in (tree.root.name, "classify", "decode"):
        assert tree.only(name).facts["error.type"] == code


def test_refused_request_trace_ends_at_authentication(live: Traced) -> None:
    assert live.classify("no-token", token=False).status_code == 401
    tree = live.trace_of("no-token")
    assert tree.root.facts["error.type"] == "unauthenticated"
    assert tree.root.facts["http.response.status_code"] == 401
    assert tree.names() == ["authenticate"]
    assert tree.only("authenticate").facts == {"error.type": "unauthenticated"}


def test_refused_rpc_trace_has_both_error_codes(live: Traced, rpc: Client) -> None:
    request = pb.ModelInferRequest(model_name="nope")
    with pytest.raises(grpc.RpcError):
        rpc.call("ModelInfer", request, x_request_id="no-model")
    root = live.trace_of("no-model").root
    assert root.facts["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert (root.facts["error.type"], root.is_error) == ("model_not_found", False)


def test_unknown_path_is_not_recorded_in_a_span(live: Traced, http: httpx.Client) -> None:
    http.request("PURGE", "/pots/of-somebody", headers={"x-request-id": "no-route"})
    root = live.trace_of("no-route").root
    assert root.name == "HTTP"
    assert root.facts["http.request.method"] == "_OTHER"
    assert "http.route" not in root.facts
    assert "somebody" not in str(root)


def test_spans_contain_no_secrets(live: Traced, http: httpx.Client, rpc: Client) -> None:
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    headers = {"x-request-id": "sign-in", "cookie": "a=biscuit", "user-agent": "an-agent"}
    http.post("/v1/auth/token?token=in-a-query", data=form, headers=headers)
    refusal(lambda: rpc.ask("ModelInfer", pb.ModelInferRequest(), authorization="Bearer nobody"))
    live.classify("bad-token", token=False, authorization="Bearer a.forged.token")
    for request_id in ("sign-in", "bad-token"):
        live.trace_of(request_id)
    told = repr(live.collector.bodies)
    tokens = [token for token, _ in live.server.tokens.values()]
    assert tokens
    for secret in (
        PASSWORD,
        SECRET,
        "Bearer",
        "biscuit",
        "in-a-query",
        "an-agent",
        "forged",
        *tokens,
    ):
        assert secret not in told
    assert SECRET not in live.server.events()


def test_request_has_exactly_one_server_span(live: Traced, http: httpx.Client) -> None:
    http.get("/v1/models", headers={"x-request-id": "models"})
    tree = live.trace_of("models")
    assert [span.kind for span in tree.spans].count(WireSpan.SPAN_KIND_SERVER) == 1
    assert tree.root.name == "GET /v1/models"


# Logs and histograms


def test_log_lines_of_a_traced_request_name_the_trace(live: Traced) -> None:
    live.classify("to-be-found")
    root = live.trace_of("to-be-found").root
    (line,) = live.lines_of("to-be-found")
    assert json.loads(line)["trace_id"] == root.trace_id


def test_security_log_names_the_request_and_trace(live: Traced, http: httpx.Client) -> None:
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    http.post("/v1/auth/token", data=form, headers={"x-request-id": "an-audit"})
    root = live.trace_of("an-audit").root
    lines = [json.loads(line) for line in live.lines_of("an-audit")]
    assert [line["logger"] for line in lines] == ["audit", "access"]
    assert {line["trace_id"] for line in lines} == {root.trace_id}


def test_histograms_have_trace_exemplars(live: Traced, rpc: Client) -> None:
    live.classify("an-example")
    rpc.call("ModelInfer", tensor(images(1)), x_request_id="another-example")
    trace_id = live.trace_of("an-example").root.trace_id
    live.trace_of("another-example")
    text = httpx.get(
        f"{live.server.url}/metrics", headers={"accept": "application/openmetrics-text"}
    ).text
    shown = [line for line in text.splitlines() if "# {trace_id=" in line]
    names = {line.partition("{")[0] for line in shown}
    assert names == {
        "potoo_http_request_duration_seconds_bucket",
        "potoo_grpc_request_duration_seconds_bucket",
        "potoo_stage_duration_seconds_bucket",
    }
    stages = {line.partition('stage="')[2].partition('"')[0] for line in shown}
    assert set(STAGES) <= stages
    assert any(trace_id in line for line in shown)
    assert "# {" not in httpx.get(f"{live.server.url}/metrics").text, "plain text has none"
