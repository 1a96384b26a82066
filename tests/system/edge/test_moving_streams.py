"""Streams through the shipped proxies while workers and replicas stop: clients move to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page
from websockets.exceptions import ConnectionClosed

from auth.keys import make_private
from tests.support.callers.streams import PATH, Stream, through
from tests.support.documents.documented_client import DRAW, documented_client
from tests.support.models.pictures import RED, plain
from tests.support.proxies.caddy import caddy, programs
from tests.support.proxies.envoy import Envoy, envoy
from tests.support.proxies.tls import Edge
from tests.support.servers.browser import ARGUMENTS, open_browser, visit
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import STOP_SECONDS, LiveServer, serve, serve_together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

STREAMS = 2
"""Through each proxy."""
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


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server with two workers, which the last test here stops."""
    folder = tmp_path_factory.mktemp("workers")
    with serve(folder, models=colours, arguments=("--workers", "2")) as live:
        yield live


@pytest.fixture(scope="module")
def edges(
    tmp_path_factory: pytest.TempPathFactory, workers: LiveServer
) -> Iterator[tuple[Edge, ...]]:
    """Both proxies before the server."""
    folder, upstream = tmp_path_factory.mktemp("caddy"), "{}:{}".format(*workers.address)
    with (
        envoy([workers.address]) as one,
        caddy(folder, programs()[0], upstream=upstream, POTOO_TRY_DURATION="15s") as other,
    ):
        yield one.edge, other.edge


@pytest.mark.parametrize("number", [0, 1], ids=["envoy", "caddy"])
def test_session_is_resumed_by_the_worker_that_has_it(
    edges: tuple[Edge, ...], workers: LiveServer, number: int
) -> None:
    session, outcomes = None, list[bool]()
    while len(outcomes) < MOST_ATTEMPTS and not any(outcomes):
        with through(edges[number], workers, resume=session) as stream:
            welcome = stream.welcome
            outcomes.append(welcome["resumed"])
            # All or nothing, whichever worker gets the connection.
            assert (welcome["counters"] != NOTHING) == welcome["resumed"]
            assert is_answered(stream)
            session = welcome["session"]
    assert not outcomes[0]
    assert outcomes[-1]


def test_streams_of_workers_go_on_after_a_crash_and_a_stop(
    edges: tuple[Edge, ...], workers: LiveServer
) -> None:
    with ExitStack() as stack:
        options = {"top_k": 1}
        streams = [
            (edge, stack.enter_context(through(edge, workers, options=options)))
            for edge in edges
            for _ in range(STREAMS)
        ]
        assert all(is_answered(stream) for _, stream in streams)
        assert streams_open(workers) == len(streams), "the workers' together"
        killed = workers.workers()
        for pid in killed:
            psutil.Process(pid).kill()
        assert {stream.closed()[0] for _, stream in streams} == {1006}
        assert wait_until(lambda: len(workers.workers() - killed) == len(killed))
        assert wait_until(lambda: all(edge.get("/readyz").status == 200 for edge in edges))
        resumed = [
            stack.enter_context(through(edge, workers, resume=stream.welcome["session"]))
            for edge, stream in streams
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


USE = """
    window.heard = [];
    const send = stream(address, async () => token, {top_k: 1}, (message) => {
        heard.push(message.type);
        if (message.type !== "goodbye") setTimeout(send, 100, blob);
    });
"""
COUNT = "(type) => heard.filter((one) => one === type).length"


class DocumentedClient:
    """The client of docs/websocket.md, in a browser, through Envoy; it never stops sending."""

    def __init__(self, page: Page, address: str, token: str) -> None:
        self._page = page
        script = "async ([address, token]) => {" + documented_client() + DRAW + USE + "}"
        page.evaluate(script, [address, token])

    def heard(self, kind: str) -> int:
        """The number of messages of a type so far."""
        return int(self._page.evaluate(COUNT, kind))


@contextmanager
def browsing(edge: Edge, token: str) -> Iterator[DocumentedClient]:
    """Run the documented client."""
    arguments = [
        *ARGUMENTS,
        "--host-resolver-rules=MAP localhost 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={edge.pin()}",
    ]
    with open_browser(arguments) as browser, visit(browser, edge.url) as visited:
        address = edge.url.replace("https://", "wss://") + PATH
        yield DocumentedClient(visited.page, address, token)


def test_streams_of_a_draining_replica_move_to_the_other(
    balancer: Envoy, replicas: list[LiveServer]
) -> None:
    edge = balancer.edge
    with browsing(edge, replicas[0].token("stream")) as client, ExitStack() as stack:
        assert wait_until(lambda: client.heard("result") >= 2)
        leaving = next(replica for replica in replicas if streams_open(replica))
        (staying,) = [replica for replica in replicas if replica is not leaving]
        streams = list[Stream]()
        while streams_open(leaving) < 2:  # Envoy takes turns
            assert len(streams) < MOST_ATTEMPTS
            streams.append(stack.enter_context(through(edge, replicas[0])))
            assert is_answered(streams[-1])
        stream, elsewhere = streams[-1], len(streams) - 1
        assert streams_open(staying) == elsewhere
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
        assert wait_until(lambda: client.heard("goodbye") >= 1)
        assert wait_until(lambda: client.heard("welcome") >= 2)
        answered = client.heard("result")
        assert wait_until(lambda: client.heard("result") >= answered + 2)
        assert streams_open(staying) == elsewhere + 2
        leaving.process.wait(STOP_SECONDS)
        assert "forced exit" not in leaving.events()
    # That of the browser; the other client opens its streams by HTTP/1.1.
    assert wait_until(lambda: "HTTP/2" in protocols(balancer)), "RFC 8441"


def protocols(balancer: Envoy) -> set[str]:
    """HTTP versions of the streams that have ended, by Envoy's log."""
    return {line["protocol"] for line in balancer.access_log() if line["path"] == PATH}
