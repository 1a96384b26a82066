"""Life cycle with gRPC: ports, worker processes, certificates, calls in progress."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from observability.metrics.metrics import Metrics
from schemas.pb import open_inference_pb2 as pb
from service.settings import SettingsError, load_settings
from service.transport.grpc.server.tls import credentials
from tests.support.callers.rpc import Client, connected, files, refused, tensor, told_to_go
from tests.support.callers.tensors import images
from tests.support.models.pictures import encoded, noise
from tests.support.models.tiny_model import SIDE
from tests.support.proxies.certificates import self_signed
from tests.support.servers.databases import free_port, postgres_folder, postgres_server
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SLOW = files(*[encoded(noise((800, 800)))] * 2)


@pytest.fixture
def live(tmp_path: Path, colours: Path) -> Iterator[LiveServer]:
    with serve(tmp_path, models=colours, POTOO_GRPC_PORT="0") as server:
        yield server


def stops_well(server: LiveServer) -> None:
    """Stop the server, and check its exit."""
    server.process.terminate()
    stopped(server)


def stopped(server: LiveServer) -> None:
    """Wait for the end; check the exit status."""
    assert server.process.wait(60) in {0, 143, -15}
    assert "Traceback" not in server.events()
    assert all(line.startswith("{") for line in server.events().splitlines()), "only our own words"


# Ports


def test_grpc_is_off_without_a_port(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server:
        assert "gRPC" not in server.banner
        assert "grpc ready" not in server.events()
        sockets = psutil.Process(server.process.pid).net_connections("inet")
        listening = {one.laddr[:2] for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {server.address}


def test_grpc_port_is_set_on_the_command_line(tmp_path: Path, colours: Path) -> None:
    port = free_port()
    with serve(tmp_path, models=colours, arguments=("--grpc-port", str(port))) as server:
        assert server.grpc == f"127.0.0.1:{port}"
        with connected(server) as client:
            assert client.ask("ServerReady", pb.ServerReadyRequest()).ready


def test_grpc_port_in_use_is_refused(tmp_path: Path, colours: Path, live: LiveServer) -> None:
    port = live.grpc.rpartition(":")[2]
    (tmp_path / "second").mkdir()
    second = serve(tmp_path / "second", models=colours, POTOO_GRPC_PORT=port)
    with pytest.raises(AssertionError, match=rf"cannot listen on 127.0.0.1 port {port} for gRPC"):
        second.__enter__()


# The end


def test_accepted_calls_are_answered_during_shutdown(live: LiveServer) -> None:
    counted: Counter[str] = Counter()
    request, counting = tensor(images(8)), threading.Lock()

    def ask_until_the_end() -> None:
        with connected(live) as client:
            while True:
                try:
                    client.ask("ModelInfer", request)
                except grpc.RpcError as error:
                    with counting:
                        counted[told_to_go(error)] += 1
                    return
                with counting:
                    counted["OK"] += 1
                    if counted["OK"] == 200:
                        live.process.terminate()

    crowd = [threading.Thread(target=ask_until_the_end) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(120)
    stopped(live)
    assert set(counted) == {"OK", "UNAVAILABLE"}
    assert counted["UNAVAILABLE"] == 8


def test_calls_in_progress_are_answered_during_shutdown(live: LiveServer) -> None:
    """Includes calls whose message has not arrived."""
    go_on = threading.Event()

    def late() -> Iterator[bytes]:
        go_on.wait()
        yield tensor(images(2)).SerializeToString()

    with connected(live) as client:
        watch = HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        call = client.upload("/inference.GRPCInferenceService/ModelInfer")
        calls = [call.future(late(), metadata=client.metadata({})) for _ in range(4)]
        assert wait_until(lambda: in_flight(live) == 5)
        live.process.terminate()
        assert next(watch).status == NOT_SERVING
        go_on.set()
        for call in calls:
            assert pb.ModelInferResponse.FromString(call.result(30)).outputs
    stopped(live)


def in_flight(server: LiveServer) -> float:
    found = re.search(
        r"^potoo_grpc_requests_in_flight (\S+)$",
        httpx.get(f"{server.url}/metrics").text,
        re.MULTILINE,
    )
    assert found
    return float(found[1])


def test_stream_requests_read_before_shutdown_are_answered(live: LiveServer) -> None:
    waiting = threading.Event()

    def requests() -> Iterator[pb.ModelInferRequest]:
        for number in range(5):
            request = pb.ModelInferRequest()
            request.CopyFrom(SLOW)
            request.id = str(number)
            yield request
        waiting.wait()

    with connected(live) as client:
        answers = client.stream("ModelStreamInfer", requests())
        seen = [next(answers).infer_response.id]
        live.process.terminate()
        with pytest.raises(grpc.RpcError) as caught:
            seen.extend(one.infer_response.id for one in answers)
        assert refused(caught.value) == ("UNAVAILABLE", "not_ready")
        waiting.set()
    assert seen == ["0", "1", "2", "3", "4"]
    stopped(live)


def test_health_watchers_are_notified_without_delaying_shutdown(live: LiveServer) -> None:
    with connected(live, None) as nobody:
        watch = HealthStub(nobody.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        reflection = nobody.both_ways("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        over = threading.Event()

        def silent() -> Iterator[bytes]:
            over.wait()
            yield from ()

        open_stream = reflection(silent())
        began = time.monotonic()
        live.process.terminate()
        assert next(watch).status == NOT_SERVING
        for call in (watch, open_stream):
            with pytest.raises(grpc.RpcError) as caught:
                next(call)
            assert refused(caught.value) == ("UNAVAILABLE", "not_ready")
        stopped(live)
        assert time.monotonic() - began < 25, "it does not take all of the time that is allowed"
        over.set()


def test_stuck_call_does_not_outlast_the_grace_period(tmp_path: Path, colours: Path) -> None:
    over = threading.Event()

    def silent() -> Iterator[bytes]:
        over.wait()
        yield from ()

    with (
        serve(tmp_path, models=colours, POTOO_GRPC_PORT="0", POTOO_DRAIN_SECONDS="2") as server,
        connected(server) as client,
    ):
        path = "/inference.GRPCInferenceService/ModelInfer"
        call = client.upload(path).future(silent(), metadata=client.metadata({}))
        assert wait_until(lambda: in_flight(server) == 1)
        server.process.terminate()
        stopped(server)
        with pytest.raises(grpc.RpcError):
            call.result(5)
        over.set()


def test_grpc_health_follows_readiness(tmp_path: Path, colours: Path) -> None:
    """The store stops, so that tokens cannot be checked."""
    with (
        postgres_folder() as folder,
        ExitStack() as store,
        ExitStack() as running,
    ):
        url = store.enter_context(postgres_server(folder))
        server = running.enter_context(
            serve(
                tmp_path,
                models=colours,
                POTOO_GRPC_PORT="0",
                POTOO_DATABASE_URL=url,
                POTOO_AUTH__STORE_OUTAGE_SECONDS="2",
            )
        )
        client = running.enter_context(connected(server))
        watch = HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        store.close()
        assert next(watch).status == NOT_SERVING
        assert not client.ask("ServerReady", pb.ServerReadyRequest()).ready
        assert client.ask("ServerLive", pb.ServerLiveRequest()).live
        with pytest.raises(grpc.RpcError) as caught:
            client.ask("ModelInfer", tensor(images(1)))
        assert refused(caught.value) == ("UNAVAILABLE", "not_ready")
        watch.cancel()


# Several workers


def test_workers_share_the_port_and_the_counters(tmp_path: Path, colours: Path) -> None:
    with serve(
        tmp_path, models=colours, arguments=("--workers", "2"), POTOO_GRPC_PORT="0"
    ) as server:
        assert wait_until(lambda: server.events().count('"event":"grpc ready"') == 2)
        ports = set(re.findall(r'"event":"grpc ready","port":(\d+)', server.events()))
        assert ports == {server.grpc.rpartition(":")[2]}
        for _ in range(20):  # one connection each, so that both serve requests
            with connected(server) as client:
                answer = client.ask("ModelInfer", tensor(np.zeros((1, 3, SIDE, SIDE), np.float32)))
                assert answer.model_name == "colours"
        text = httpx.get(f"{server.url}/metrics").text
        method = "inference.GRPCInferenceService/ModelInfer"
        assert f'potoo_grpc_requests_total{{code="OK",method="{method}"}} 20.0' in text


# TLS


def expiry(pem: bytes) -> float:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def expiry_shown(server: LiveServer) -> float:
    found = re.search(
        r'^potoo_certificate_expiry_timestamp_seconds{port="grpc"} (\S+)$',
        httpx.get(f"{server.url}/metrics").text,
        re.MULTILINE,
    )
    assert found
    return float(found[1])


def secure(server: LiveServer, trusted: bytes) -> Any:
    options = [
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.secure_channel(server.grpc, grpc.ssl_channel_credentials(trusted), options)


def answers(server: LiveServer, trusted: bytes) -> bool:
    with secure(server, trusted) as channel:
        try:
            return bool(Client(channel).ask("ServerLive", pb.ServerLiveRequest(), timeout=5).live)
        except grpc.RpcError:
            return False


def test_renewed_grpc_certificate_is_loaded_without_a_restart(
    tmp_path: Path, colours: Path
) -> None:
    first = self_signed(tmp_path, "first")
    with serve(
        tmp_path,
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_GRPC_TLS_CERT=str(tmp_path / "cert.pem"),
        POTOO_GRPC_TLS_KEY=str(tmp_path / "key.pem"),
    ) as server:
        assert answers(server, first)
        with secure(server, first) as channel:
            client = Client(channel, server.token("infer"))
            assert client.ask("ModelInfer", tensor(images(1))).outputs
        with connected(server, None) as plain_text, pytest.raises(grpc.RpcError):
            plain_text.ask("ServerLive", pb.ServerLiveRequest(), timeout=5)
        assert expiry_shown(server) == expiry(first)
        second = self_signed(tmp_path, "second", days=2)
        assert answers(server, second)
        assert not answers(server, first)
        assert expiry_shown(server) == expiry(second)
        for unfit in ("nothing", understood_by_openssl_alone(second)):
            (tmp_path / "cert.pem").write_text(unfit)
            assert answers(server, second), "it goes on with the pair that holds"
        assert server.events().count("cannot reload certificate") == 2
        stops_well(server)


def understood_by_openssl_alone(certificate: bytes) -> str:
    return certificate.decode().replace(" CERTIFICATE", " TRUSTED CERTIFICATE")


def test_certificate_without_a_readable_expiry_is_refused(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "any")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(understood_by_openssl_alone(made))
    settings = load_settings(grpc_port=0, grpc_tls_cert=certificate, grpc_tls_key=key)
    with pytest.raises(SettingsError, match="grpc_tls_cert, grpc_tls_key: they are no"):
        credentials(settings, Metrics())


@pytest.mark.parametrize("missing", ["cert.pem", "key.pem"])
def test_mismatched_certificate_files_are_named_at_start(
    tmp_path: Path, colours: Path, missing: str
) -> None:
    self_signed(tmp_path, "any")
    (tmp_path / missing).write_text("nothing")
    server = serve(
        tmp_path,
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_GRPC_TLS_CERT=str(tmp_path / "cert.pem"),
        POTOO_GRPC_TLS_KEY=str(tmp_path / "key.pem"),
    )
    with pytest.raises(AssertionError, match="grpc_tls_cert, grpc_tls_key: they are no") as caught:
        server.__enter__()
    assert "Traceback" not in str(caught.value)
