"""The shipped Envoy in front of a real server: forwarded and blocked requests."""

from __future__ import annotations

import json
import ssl
import stat
from collections.abc import Iterator

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.support.callers.raw_http import Answer
from tests.support.callers.rpc import Client, files, output_of, refusal
from tests.support.callers.streams import through
from tests.support.models.pictures import RED, plain
from tests.support.proxies.envoy import HSTS, Envoy, certify, envoy
from tests.support.proxies.tls import GOOD, is_modern
from tests.support.proxies.upstreams import Recorder, recorder
from tests.support.servers.databases import free_port
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SCOPES = "classify infer preprocess models:read models:write admin"
CONTROL = "/inference.GRPCInferenceService/RepositoryModel"


@pytest.fixture(scope="module")
def proxy(server: LiveServer) -> Iterator[Envoy]:
    host, _, port = server.grpc.rpartition(":")
    with envoy([server.address], [(host, int(port))]) as running:
        yield running


@pytest.fixture(scope="module")
def bearer(server: LiveServer) -> dict[str, str]:
    """A token with all scopes: refusals come only from the proxy."""
    return {"authorization": f"Bearer {server.token(SCOPES)}"}


@pytest.fixture
def rpc(proxy: Envoy, server: LiveServer) -> Iterator[Client]:
    with proxy.edge.channel() as channel:
        yield proxy.edge.rpc(channel, server.token(SCOPES))


def get(proxy: Envoy, path: str, *headers: str) -> Answer:
    """Send a GET verbatim and read its response at once: Envoy delays closing the connection."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    with proxy.edge.raw() as connection:
        connection.send("\r\n".join(lines).encode())
        return connection.answer()


def test_frames_are_streamed(proxy: Envoy, server: LiveServer) -> None:
    with through(proxy.edge, server) as stream:
        stream.send_frame(1, plain(RED))
        assert stream.hear("result")["summary"]["label"] == "red"


# TLS


def test_certificate_chain_is_valid_and_tls_is_modern(proxy: Envoy) -> None:
    edge = proxy.edge
    assert edge.certificate()
    assert edge.versions() == GOOD
    ciphers = edge.ciphers()
    assert ciphers
    assert all(map(is_modern, ciphers)), ciphers


def test_certificate_is_refused_without_its_authority(proxy: Envoy) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        proxy.edge.connect(ssl.create_default_context())


def test_http_1_and_http_2_are_negotiated(proxy: Envoy) -> None:
    assert proxy.edge.alpn("h2", "http/1.1") == "h2"
    assert proxy.edge.alpn("http/1.1") == "http/1.1"


def test_plain_http_is_redirected_to_https(proxy: Envoy) -> None:
    url = f"http://127.0.0.1:{proxy.ports['redirect']}/v1/models?a=b"
    answer = httpx.get(url, headers={"host": "potoo.example"})
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://potoo.example/v1/models?a=b"


def test_acme_challenges_are_not_found_without_a_client(proxy: Envoy) -> None:
    url = f"http://127.0.0.1:{proxy.ports['redirect']}/.well-known/acme-challenge/a"
    assert httpx.get(url).status_code == 404


def test_renewed_certificate_is_loaded_without_a_restart(proxy: Envoy) -> None:
    with proxy.edge.client() as before:
        before.get("/healthz").raise_for_status()
        old = proxy.edge.certificate()
        certify(proxy.folder / "certs")
        assert wait_until(lambda: proxy.edge.certificate() != old)
        before.get("/healthz").raise_for_status()


# Forwarded requests


def test_pictures_are_classified(proxy: Envoy, bearer: dict[str, str]) -> None:
    with proxy.edge.client(headers=bearer) as client:
        answer = client.post(
            "/v1/classify", files={"file": plain()}, headers={"x-request-id": "a-name-of-mine"}
        )
    assert answer.json()["predictions"][0]["label"] == "red"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "a-name-of-mine"
    assert answer.headers[HSTS] == "max-age=31536000"
    assert not {"server", "x-envoy-upstream-service-time"} & answer.headers.keys()


def test_rpcs_are_answered(rpc: Client) -> None:
    picture = potoo_pb2.PredictRequest(image_data=plain(RED))
    assert rpc.ask("Predict", picture).class_names[0] == "red"
    assert output_of(rpc.ask("ModelInfer", files(plain(RED)))).argmax() == 0
    answers = rpc.stream("ModelStreamInfer", [files(plain(RED)), files(plain(RED))])
    assert [output_of(one.infer_response).argmax() for one in answers] == [0, 0]
    serving = health_pb2.HealthCheckResponse.SERVING
    assert rpc.ask("Check", health_pb2.HealthCheckRequest()).status == serving
    assert next(rpc.stream("Watch", [health_pb2.HealthCheckRequest()])).status == serving


def test_server_refusals_are_forwarded_unchanged(proxy: Envoy, rpc: Client) -> None:
    refused = get(proxy, "/v1/models")
    assert refused.problem["code"] == "unauthenticated"
    assert HSTS in refused.headers
    with proxy.edge.channel() as channel:
        stranger = proxy.edge.rpc(channel)
        call = potoo_pb2.PredictRequest(image_data=plain(RED))
        assert refusal(lambda: stranger.ask("Predict", call)) == (
            "UNAUTHENTICATED",
            "unauthenticated",
        )
    request = pb.ModelReadyRequest(name="colours")
    assert rpc.ask("ModelReady", request).ready


# Blocked requests


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/metrics/", "/METRICS", "//metrics", "/./metrics", "/a/../metrics"),
        *("/%6detrics", "/%4Detrics", "/%2e/metrics", "/a/%2e%2e/metrics", "/metrics?a=b"),
        *("/metrics%0a", "/metrics%20", "/metrics%23", "/metrics%3fa", "/metrics;a", "/metrics%00"),
        *("/v1/admin%0a", "/v1/admin;a/users", "/v1/admin/users%0a"),
        *("\\metrics", "/a\\..\\metrics", "/%2fmetrics", "/%5cmetrics", "/metrics%2f"),
        *(
            "/v1/admin",
            "/v1/admin/users",
            "/v1//admin/users",
            "/V1/Admin/users",
            "/v1\\admin/users",
        ),
        *("/v1%2fadmin/users", "/v1/%61dmin/users", "/v1/x/../admin/users", "/v1/admin/users/"),
        "https://127.0.0.1/v1/admin/users",
    ],
)
def test_administration_and_metrics_paths_are_closed_in_every_spelling(
    proxy: Envoy, bearer: dict[str, str], path: str
) -> None:
    token = f"Authorization: {bearer['authorization']}"
    answer = get(proxy, path, token)
    assert answer.status in {400, 404}
    assert json.loads(answer.body)["detail"] in {
        "There is no such resource.",
        "The request cannot be understood.",
    }
    assert HSTS in answer.headers
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Accept: text/event-stream")
    assert get(proxy, path, token, *upgrade).status in {400, 404}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_administration_and_metrics_are_closed_to_every_method(
    proxy: Envoy, bearer: dict[str, str], method: str
) -> None:
    with proxy.edge.client(headers=bearer) as client:
        for path in ("/v1/admin/users", "/v1/admin/users/admin/password", "/metrics"):
            assert client.request(method, path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/models/colours/versions/1/load", "/v1/models/colours/versions/1/unload"),
        *("/v1/models/colours/versions/1/promote", "/v1/models/colours/rollback"),
        *("/v1/models/colours/%72ollback", "/v1/models//colours/rollback", "/v1/Models/a/rollback"),
        *("/v1/models/colours/rollback%0a", "/v1/models/colours/rollback;a"),
        *("/v1/models/colours/versions/1/promote?label=:predict", "/v1/models/a/b/rollback"),
        *("/v2/repository/models/colours/load", "/v2/repository/models/colours/unload"),
        *("/v2/repository/models/colours/unload?a=:predict", "/v2//repository/models/a/%6coad"),
        *("/v1/scalers/mine", "/v1/Scalers/mine", "/v1//scalers/sums/a", "/v1/scalers/a?b=/sums"),
    ],
)
def test_models_cannot_be_changed_from_outside(
    proxy: Envoy, bearer: dict[str, str], path: str
) -> None:
    with proxy.edge.client(headers=bearer) as client:
        answer = client.post(path)
        assert answer.status_code == 404
        told = answer.json()
        assert (told["error"] if "/v2" in path else told["detail"]) == "There is no such resource."
        assert client.get("/v1/models/colours").json()["name"] == "colours"


def test_sums_and_preparation_are_open(proxy: Envoy, bearer: dict[str, str]) -> None:
    with proxy.edge.client(headers=bearer | {"content-type": "text/csv"}) as client:
        csv = b"a,b\n1,2\n3,4\n"
        assert client.post("/v1/scalers/sums", content=csv).status_code == 200
        answer = client.post("/v1/preprocess/numeric?method=standardise", content=csv)
        assert answer.json()["rows"] == [[-1, -1], [1, 1]]
    with proxy.edge.client(headers=bearer | {"content-type": "application/x-ndjson"}) as client:
        items = b'{"id": 1, "numeric": {"rows": [[1], [3]], "method": "standardise"}}\n'
        (line,) = client.post("/v1/preprocess", content=items).text.splitlines()
        assert json.loads(line)["result"]["rows"] == [[-1], [1]]


@pytest.mark.parametrize(
    "header", ["Upgrade: websocket\r\nConnection: Upgrade", "Accept: text/event-stream"]
)
@pytest.mark.parametrize(
    "path",
    [
        *("/v1/models/colours/versions/1/unload", "/v1/models/colours/rollback"),
        *("/v1/models/colours/rollback?a=:predict", "/v2/repository/models/colours/unload"),
    ],
)
def test_stream_requests_cannot_change_models(
    proxy: Envoy, bearer: dict[str, str], path: str, header: str
) -> None:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 0", header)
    with proxy.edge.raw() as connection:
        token = f"Authorization: {bearer['authorization']}"
        connection.send("\r\n".join([*lines, token, "", ""]).encode())
        answer = connection.answer()
    assert answer.status == 404
    told = json.loads(answer.body)
    assert (told["error"] if "/v2" in path else told["detail"]) == "There is no such resource."


def test_grpc_model_control_and_reflection_are_closed(rpc: Client) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="colours").SerializeToString()
    info = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    for method in (f"{CONTROL}Load", f"{CONTROL}Unload"):
        with pytest.raises(grpc.RpcError) as caught:
            rpc.unary(method)(load, metadata=rpc.metadata({}))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        with pytest.raises(grpc.RpcError) as caught:
            next(rpc.both_ways(path)(iter([info])))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# Headers that reach the server


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Envoy, Recorder]]:
    with recorder() as upstream:
        host, _, port = upstream.address.rpartition(":")
        with envoy([(host, int(port))]) as running:
            yield running, upstream


SPOOFED = {
    "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
    "x-forwarded-FOR": "203.0.113.7",
    "X_Forwarded_For": "203.0.113.7",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "203.0.113.7",
    "X-Forwarded-Port": "2030",
    "X-Forwarded-Client-Cert": "By=203.0.113.7",
    "Forwarded": "for=203.0.113.7",
    "X-Real-IP": "203.0.113.7",
    "X_Real_IP": "203.0.113.7",
    "True-Client-IP": "203.0.113.7",
    "CF-Connecting-IP": "203.0.113.7",
    "X-Original-URL": "/v1/admin/users?203.0.113.7",
    "X-Rewrite-URL": "/v1/admin/users?203.0.113.7",
    "X-Envoy-Original-Path": "/203.0.113.7",
    "X-Envoy-External-Address": "203.0.113.7",
    "X-Envoy-Internal": "203.0.113.7",
}


def test_spoofed_forwarding_headers_are_removed(
    recorded: tuple[Envoy, Recorder],
) -> None:
    proxy, upstream = recorded
    headers = [f"{name}: {value}" for name, value in SPOOFED.items()]
    assert get(proxy, "/v1/models", *headers, "X-Other: kept").status == 200
    received = next(one for one in upstream.received if one.path == "/v1/models")
    assert "203.0.113.7" not in str(received.headers)
    (address,) = received.values("x-forwarded-for")
    # An address of this machine: Envoy does not connect by its loopback address.
    assert "," not in address
    assert received.values("x-forwarded-proto") == ["https"]
    assert received.values("x-forwarded-host") == received.values("x-forwarded-port") == []
    assert received.values("x-other") == ["kept"]


def test_missing_request_id_is_added(recorded: tuple[Envoy, Recorder]) -> None:
    proxy, upstream = recorded
    get(proxy, "/without-an-id")
    received = next(one for one in upstream.received if one.path == "/without-an-id")
    (given,) = received.values("x-request-id")
    assert len(given) == 36


def test_access_log_holds_no_token_or_query(proxy: Envoy, bearer: dict[str, str]) -> None:
    token = bearer["authorization"].removeprefix("Bearer ")
    with proxy.edge.client(headers=bearer) as client:
        client.get("/v1/models/colours?secret=in-the-query", headers={"referer": f"/?{token}"})

    def event() -> dict[str, object] | None:
        log = (one for one in proxy.access_log() if one["path"] == "/v1/models/colours")
        return next(log, None)

    assert wait_until(lambda: event() is not None)
    found = event()
    assert found
    assert found.items() >= {"method": "GET", "status": 200, "attempts": 1}.items()
    text = (proxy.folder / "access.log").read_text()
    assert "in-the-query" not in text
    assert token not in text


# Logs and statistics


def test_only_certificate_expiry_statistics_are_exposed(proxy: Envoy) -> None:
    assert "envoy_server_days_until_first_cert_expiring{} 1" in proxy.statistics()
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.ports['stats']}") as stats:
        for path in ("/", "/config_dump", "/certs", "/stats", "/quitquitquit"):
            assert stats.get(path).status_code == 404
            assert stats.post(path).status_code == 404
        assert stats.post("/stats/prometheus").status_code == 404


def test_envoy_admin_socket_is_private_to_its_account(proxy: Envoy) -> None:
    mode = (proxy.folder / "admin.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_envoy_logs_no_warning(proxy: Envoy) -> None:
    assert proxy.log() == ""


def test_envoy_without_replicas_answers_not_ready() -> None:
    nobody = ("127.0.0.1", free_port())
    with envoy([nobody], [nobody], wait=False) as proxy:
        assert wait_until(lambda: get(proxy, "/v1/models").status == 503)
        ours, theirs = get(proxy, "/v1/models"), get(proxy, "/v2/models")
        assert ours.problem["code"] == "not_ready"
        assert json.loads(theirs.body) == {"error": "The server is not ready."}
        for answer in (ours, theirs):
            assert answer.headers["retry-after"] == "1"
            assert HSTS in answer.headers
        with proxy.edge.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            proxy.edge.rpc(channel, "a token").ask("Predict", potoo_pb2.PredictRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
