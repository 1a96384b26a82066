"""Streams through the shipped proxies while workers and replicas stop: clients move to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from auth.keys import make_private
from tests.support.callers.streams import PATH, Stream, through
from tests.support.documented_client import DRAW, documented_client
from tests.support.models.pictures import RED, plain
from tests.support.proxies.caddy import caddy, programs
from tests.support.proxies.envoy import Envoy, envoy
from tests.support.proxies.tls import Edge
from tests.support.servers.browser import ARGUMENTS, open_browser, visit
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import STOP_SECONDS, LiveServer, serve, serve_together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

STREAMS = 4
MOST_ATTEMPTS = 40
"""Connections until one of two workers gets two in succession."""
DRAIN_DELAY_SECONDS = 3
"""Time for Envoy to detect the stopping replica; it checks every second."""
NOTHING = {"received": 0, "answered": 0, "failed": 0, "dropped": 0}


def is_answered(stream: Stream, number: int = 1) -> bool:
    """Send a frame; return whether it is answered, and not with a goodbye."""
    with suppress(ConnectionClosed):  # right after its goodbye, which is still to be read
        stream.send_frame(number, plain(RED))
    message = stream.hear("result", "goodbye")
    assert message["type"] == "goodbye" or message["summary"]["label"] == "red"
    return bool(message["type"] == "result")


def streams_open(server: LiveServer) -> int:
    text = httpx.get(f"{server.url}/metrics").text
    found = re.search(r"^potoo_streams_in_flight (\S+)", text, re.MULTILINE)
    assert found, text
    return int(float(found[1]))


# Workers


@pytest.fixture
def workers(tmp_path: Path, colours: Path) -> Iterator[LiveServer]:
    with serve(tmp_path, models=colours, arguments=("--workers", "2")) as live:
        yield live


@pytest.fixture(params=["caddy", "envoy"])
def edge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, workers: LiveServer
) -> Iterator[Edge]:
    """Each proxy before a server with two workers."""
    if request.param == "envoy":
        with envoy([workers.address]) as front:
            yield front.edge
    else:
        folder, upstream = tmp_path_factory.mktemp("caddy"), "{}:{}".format(*workers.address)
        with caddy(folder, programs()[0], upstream=upstream, POTOO_TRY_DURATION="15s") as front:
            yield front.edge


def test_streams_of_workers_go_on_after_a_crash_and_a_stop(edge: Edge, workers: LiveServer) -> None:
    with ExitStack() as stack:
        options = {"top_k": 1}
        streams = [
            stack.enter_context(through(edge, workers, options=options)) for _ in range(STREAMS)
        ]
        assert all(map(is_answered, streams))
        assert streams_open(workers) == STREAMS, "the workers' together"
        killed = workers.workers()
        for pid in killed:
            psutil.Process(pid).kill()
        assert {stream.closed()[0] for stream in streams} == {1006}
        assert wait_until(lambda: len(workers.workers() - killed) == len(killed))
        assert wait_until(lambda: edge.get("/readyz").status == 200)
        resumed = [
            stack.enter_context(through(edge, workers, resume=stream.welcome["session"]))
            for stream in streams
        ]
        for stream in resumed:
            # A session is known to the process that had it alone: the client starts afresh.
            assert not stream.welcome["resumed"]
            assert stream.welcome["counters"] == NOTHING
            assert stream.welcome["options"]["top_k"] != 1
            assert is_answered(stream)
        workers.process.terminate()
        for stream in resumed:
            assert stream.hear("goodbye")["code"] == 1012
            assert stream.closed() == (1012, "restart")
        assert workers.process.wait(STOP_SECONDS) == 0


def test_session_is_resumed_by_the_worker_that_has_it(edge: Edge, workers: LiveServer) -> None:
    session, outcomes = None, list[bool]()
    while len(outcomes) < MOST_ATTEMPTS and not any(outcomes):
        with through(edge, workers, resume=session) as stream:
            welcome = stream.welcome
            outcomes.append(welcome["resumed"])
            # All or nothing, whichever worker gets the connection.
            assert (welcome["counters"] != NOTHING) == welcome["resumed"]
            assert is_answered(stream)
            session = welcome["session"]
    assert not outcomes[0]
    assert outcomes[-1]


# Replicas


@pytest.fixture
def replicas(tmp_path: Path, colours: Path, postgres: str) -> Iterator[list[LiveServer]]:
    folders = [tmp_path / "one", tmp_path / "other"]
    with fresh_database(postgres) as database, ExitStack() as stack:
        for folder in folders:
            folder.mkdir()
        yield serve_together(
            stack,
            folders,
            models=colours,
            POTOO_DATABASE_URL=database,
            POTOO_AUTH__SIGNING_KEY=make_private("ES256"),
            POTOO_DRAIN_DELAY_SECONDS=str(DRAIN_DELAY_SECONDS),
        )


@pytest.fixture
def balancer(replicas: list[LiveServer]) -> Iterator[Envoy]:
    with envoy([replica.address for replica in replicas]) as front:
        yield front


def test_stream_of_a_draining_replica_moves_to_the_other(
    balancer: Envoy, replicas: list[LiveServer]
) -> None:
    one, other = replicas
    edge = balancer.edge
    with ExitStack() as stack:
        stream = stack.enter_context(through(edge, one))
        assert is_answered(stream)
        leaving, staying = (one, other) if streams_open(one) else (other, one)
        assert (streams_open(leaving), streams_open(staying)) == (1, 0)
        leaving.process.terminate()
        # The replica serves on until Envoy knows; a frame that meets the goodbye gets no answer.
        number = 1
        while is_answered(stream, number):
            number += 1
        assert number > 2
        assert stream.closed() == (1012, "restart")
        # At once, as the documented client does.
        again = stack.enter_context(through(edge, staying, resume=stream.welcome["session"]))
        assert not again.welcome["resumed"]
        assert is_answered(again)
        assert streams_open(staying) == 1
        leaving.process.wait(STOP_SECONDS)
        assert "forced exit" not in leaving.events()


USE = """
    window.heard = [];
    const send = stream(address, async () => token, {top_k: 1}, (message) => {
        heard.push(message.type);
        if (message.type !== "goodbye") setTimeout(send, 100, blob);
    });
"""
COUNT = "(type) => heard.filter((one) => one === type).length"


def test_documented_client_moves_to_the_other_replica(
    balancer: Envoy, replicas: list[LiveServer]
) -> None:
    edge = balancer.edge
    arguments = [
        *ARGUMENTS,
        "--host-resolver-rules=MAP localhost 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={edge.pin()}",
    ]
    with open_browser(arguments) as browser, visit(browser, edge.url) as visited:
        page = visited.page

        def has(number: int, kind: str) -> bool:
            return bool(page.evaluate(COUNT, kind) >= number)

        page.evaluate(
            "async ([address, token]) => {" + documented_client() + DRAW + USE + "}",
            [edge.url.replace("https://", "wss://") + PATH, replicas[0].token("stream")],
        )
        assert wait_until(lambda: has(2, "result"))
        leaving = next(replica for replica in replicas if streams_open(replica))
        leaving.process.terminate()
        assert wait_until(lambda: has(1, "goodbye"))
        assert wait_until(lambda: has(2, "welcome"))
        answered = page.evaluate(COUNT, "result")
        assert wait_until(lambda: has(answered + 2, "result"))
        (staying,) = [replica for replica in replicas if replica is not leaving]
        assert streams_open(staying) == 1
    assert wait_until(lambda: {"HTTP/2"} == protocols(balancer)), "RFC 8441"


def protocols(balancer: Envoy) -> set[str]:
    """HTTP versions of the streams that have ended, by Envoy's log."""
    return {line["protocol"] for line in balancer.access_log() if line["path"] == PATH}
