"""The shipped Caddyfile in front of a real Potoo: TLS, and requests that must pass."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from playwright.sync_api import expect

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.settings import LimitSettings
from service.transport.http.body.uploads import BASE64_SHARE
from tests.support.callers.raw_http import PATIENCE
from tests.support.callers.rpc import SCOPES, files
from tests.support.callers.streams import through
from tests.support.models.pictures import RED, plain
from tests.support.proxies.caddy import CADDYFILE, LITTLE_PATIENCE, Caddy, adapted, caddy, programs
from tests.support.proxies.tls import GOOD, check_echo, is_modern
from tests.support.proxies.upstreams import echo_server
from tests.support.servers.browser import ARGUMENTS, open_browser, photo, visit
from tests.support.servers.server import PASSWORD, LiveServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=programs())
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: LiveServer
) -> Iterator[Caddy]:
    """Caddy before a real server, with short time-outs, which must not end streams.

    They must still allow a handshake on a busy machine.
    """
    with caddy(
        tmp_path_factory.mktemp("caddy"),
        request.param,
        upstream="{}:{}".format(*server.address),
        grpc=server.grpc,
        POTOO_SITE="localhost, 127.0.0.1",
        POTOO_HEADER_TIMEOUT=f"{LITTLE_PATIENCE}s",
        POTOO_IDLE_TIMEOUT=f"{LITTLE_PATIENCE}s",
    ) as running:
        yield running


def test_only_modern_tls_protocols_and_ciphers_are_offered(front: Caddy) -> None:
    assert front.edge.versions() == GOOD
    ciphers = front.edge.ciphers()
    assert ciphers
    assert [cipher for cipher in ciphers if not is_modern(cipher)] == []


def test_certificate_chain_and_name_are_valid(front: Caddy) -> None:
    certificate = x509.load_der_x509_certificate(front.edge.certificate())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    with pytest.raises(ssl.SSLError):
        replace(front.edge, name="somewhere.else").certificate()


def test_address_clients_get_a_certificate(front: Caddy) -> None:
    assert replace(front.edge, name="127.0.0.1").get("/healthz").status == 200


def test_http_2_is_negotiated_and_http_3_advertised(front: Caddy) -> None:
    assert front.edge.alpn("h2", "http/1.1") == "h2"
    assert front.edge.alpn("http/1.1") == "http/1.1"
    offered = front.edge.get("/healthz").headers["alt-svc"]
    assert offered.startswith(f'h3=":{front.edge.address[1]}"')


@pytest.mark.parametrize("protocol", ["h2", "h3"])
def test_page_works_in_a_browser(front: Caddy, protocol: str) -> None:
    quic = f"--origin-to-force-quic-on=localhost:{front.edge.address[1]}"
    arguments = [
        *(one for one in ARGUMENTS if one != "--disable-quic" or protocol == "h2"),
        *([quic] if protocol == "h3" else ()),
        "--host-resolver-rules=MAP localhost 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={front.edge.pin()}",
    ]
    with open_browser(arguments) as browser, visit(browser, front.edge.url) as page:
        spoken = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert page.page.evaluate(spoken) == protocol
        page.sign_in()
        expect(page.page.locator("#workspace")).to_be_visible()
        page.show(photo("red.png", plain(RED)))
        expect(page.card("red.png").locator(".label").first).to_have_text("red")


def test_plain_http_is_redirected_to_https(front: Caddy) -> None:
    plain_url = f"http://localhost:{front.port}"
    for method, path in (("GET", "/docs?a=1"), ("POST", "/v1/auth/token"), ("GET", "/metrics")):
        answer = httpx.request(method, plain_url + path)
        assert (answer.status_code, answer.headers["location"]) == (308, front.edge.url + path)
        assert answer.content == b""
        # Browsers must ignore it over plain HTTP, where anybody could add it (RFC 6797).
        assert "strict-transport-security" not in answer.headers


def test_people_can_sign_in_and_classify(front: Caddy) -> None:
    form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    with front.edge.client() as client:
        token = client.post("/v1/auth/token", data=form).raise_for_status().json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        files = {"file": ("red.png", plain(RED), "image/png")}
        answer = client.post("/v1/classify", files=files, headers={"x-request-id": "mine.1"})
        assert answer.json()["predictions"][0]["label"] == "red"
        assert answer.headers["x-request-id"] == "mine.1"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "server" not in answer.headers
        refused = client.post("/v1/classify", files=files, headers={"authorization": "Bearer no"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused.headers["strict-transport-security"] == "max-age=31536000"


def test_pages_are_compressed_and_answers_are_not(front: Caddy, server: LiveServer) -> None:
    token = server.token("models:read")
    headers = {"accept-encoding": "gzip", "authorization": f"Bearer {token}"}
    with front.edge.client(headers=headers) as client:
        for path in ("/docs", "/openapi.json", "/static/swagger/swagger-ui-bundle.js"):
            assert client.get(path).headers["content-encoding"] == "gzip"
        for path in ("/v1/models", "/v2/models/colours", "/v2/models/colours/config"):
            answer = client.get(path).raise_for_status()
            assert "content-encoding" not in answer.headers
            assert answer.headers["content-type"] == "application/json"


@pytest.fixture
def channel(front: Caddy) -> Iterator[grpc.Channel]:
    with front.edge.channel() as opened:
        yield opened


def test_grpc_passes_over_tls(front: Caddy, server: LiveServer, channel: grpc.Channel) -> None:
    rpc = front.edge.rpc(channel, server.token(SCOPES))
    picture = potoo_pb2.PredictRequest(image_data=plain(RED))
    answer = rpc.call("Predict", picture, x_request_id="mine.2")
    assert answer.message.class_names[0] == "red"
    assert answer.trailers["x-request-id"] == "mine.2"
    with pytest.raises(grpc.RpcError) as caught:
        rpc.ask("Predict", potoo_pb2.PredictRequest(image_data=b"no picture"))
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(error.trailing_metadata())["error-code"] == "unsupported_image"
    assert front.edge.rpc(channel).ask("Check", b"").status == 1


def test_grpc_stream_outlasts_every_timeout(
    front: Caddy, server: LiveServer, channel: grpc.Channel
) -> None:
    rpc = front.edge.rpc(channel, server.token(SCOPES))
    go_on = threading.Semaphore(1)

    def requests() -> Iterator[pb.ModelInferRequest]:
        while go_on.acquire(timeout=PATIENCE):
            yield files(plain(RED))

    stream = rpc.stream("ModelStreamInfer", requests(), timeout=2 * PATIENCE)
    began = time.monotonic()
    while time.monotonic() < began + LITTLE_PATIENCE + 2:
        assert not next(stream).error_message
        assert server.process.poll() is None
        go_on.release()
    stream.cancel()
    # The server learns of a disconnected client, and cancels its work.
    assert wait_until(lambda: " 0.0" in _line(server, "potoo_grpc_requests_in_flight "))


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_grpc_model_control_is_closed_from_outside(
    front: Caddy, server: LiveServer, channel: grpc.Channel, method: str
) -> None:
    rpc = front.edge.rpc(channel, server.token("models:read models:write"))
    with pytest.raises(grpc.RpcError) as caught:
        rpc.ask(method, b"")
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert rpc.ask("RepositoryIndex", b"").models[0].name == "colours"


def test_grpc_reflection_is_closed_from_outside(front: Caddy, channel: grpc.Channel) -> None:
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        # One message, sent with the end of the request: Caddy resets a stream that it answers
        # before its end (RST_STREAM), and the client may see that before the status.
        with pytest.raises(grpc.RpcError) as caught:
            front.edge.rpc(channel).unary(path)(b"", timeout=PATIENCE)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_frames_are_streamed(front: Caddy, server: LiveServer) -> None:
    with through(front.edge, server) as stream:
        for number in range(2):
            stream.send_frame(number, plain(RED))
            assert stream.hear("result")["summary"]["label"] == "red"
            with pytest.raises(TimeoutError):  # a silence longer than Caddy's time-outs
                stream.websocket.recv(LITTLE_PATIENCE + 1)


@pytest.mark.parametrize("program", programs())
def test_websockets_are_forwarded(program: str, tmp_path: Path) -> None:
    with echo_server() as upstream, caddy(tmp_path, program, upstream=upstream) as front:
        check_echo(front.edge.websocket("/v1/stream?token=a"))


@pytest.mark.parametrize("program", programs())
def test_timeouts_apply_to_every_listener(program: str) -> None:
    servers = adapted(program, POTOO_BIND="127.0.0.1")["apps"]["http"]["servers"].values()
    assert len(servers) == 3  # HTTPS, HTTP and Caddy's own metrics
    for server in servers:
        assert server["read_header_timeout"] == 10 * 10**9
        assert server["idle_timeout"] == 75 * 10**9
        assert server["max_header_bytes"] == LimitSettings().max_header_bytes
        # These would cut streams.
        assert "read_timeout" not in server
        assert "write_timeout" not in server


@pytest.mark.parametrize("program", programs())
def test_requests_wait_for_a_restart_where_they_shall(program: str) -> None:
    waiting = list(_all(adapted(program, POTOO_TRY_DURATION="15s"), "load_balancing"))
    assert len(waiting) == 3  # gRPC, batches, and the rest
    for one in waiting:
        assert one == {"try_duration": 15 * 10**9, "try_interval": 10**8}
    for one in _all(adapted(program), "load_balancing"):
        assert not one.get("try_duration")


@pytest.mark.parametrize("program", programs())
def test_body_limits_equal_those_of_the_server(program: str) -> None:
    limits = LimitSettings()
    sizes = set(_all(adapted(program), "max_size"))
    base64_bytes = int(limits.max_body_bytes * BASE64_SHARE) + 4096
    assert sizes == {base64_bytes, limits.max_batch_bytes}
    (idle,) = {one["idle_timeout"] for one in _all(adapted(program), "keep_alive")}
    # Otherwise a request may be sent on a connection that is being closed.
    assert idle / 10**9 < limits.keep_alive_seconds


def test_own_metrics_are_local_and_the_admin_api_is_off(front: Caddy) -> None:
    url = f"http://127.0.0.1:{front.metrics_port}"
    front.edge.get("/healthz")
    assert "caddy_http_requests_total" in httpx.get(f"{url}/metrics").text
    assert adapted(front.program)["admin"]["disabled"]


def test_every_variable_is_documented() -> None:
    guide = (CADDYFILE.parent.parent.parent / "docs" / "operating" / "tls.md").read_text()
    read = set(re.findall(r"\{\$(\w+)", CADDYFILE.read_text()))
    assert read
    assert {name for name in read if f"`{name}`" not in guide} == set()


def _line(server: LiveServer, name: str) -> str:
    text = httpx.get(f"{server.url}/metrics").text
    return next(line for line in text.splitlines() if line.startswith(name))


def _all(config: Any, name: str) -> Iterator[Any]:
    """All values of a key, at any depth."""
    if isinstance(config, dict):
        if name in config:
            yield config[name]
        config = list(config.values())
    if isinstance(config, list):
        for inner in config:
            yield from _all(inner, name)
