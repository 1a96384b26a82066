"""Life cycle of the server process, as seen by an operator."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.callers.raw_http import Connection, get, many
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

NOT_SET = ""
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def classify(server: LiveServer, *headers: str) -> bytes:
    """A complete request."""
    picture = plain()
    lines = (
        *("POST /v1/classify HTTP/1.1", "Host: a", "Content-Type: image/png", *headers),
        *(f"Authorization: Bearer {server.token()}", f"Content-Length: {len(picture)}", "", ""),
    )
    return "\r\n".join(lines).encode() + picture


def all_output(server: LiveServer) -> str:
    """Stop the server; return its standard output."""
    server.process.terminate()
    server.process.wait(40)
    assert server.process.stdout
    return server.banner + server.process.stdout.read()


def stopped(server: LiveServer) -> int:
    """Wait for the end; return the exit status."""
    return server.process.wait(40)


# The first start and the second


def test_first_start_creates_an_account_and_shows_its_password_once(
    tmp_path: Path, colours: Path
) -> None:
    with serve(tmp_path, models=colours, POTOO_ADMIN_PASSWORD=NOT_SET) as first:
        welcome = first.banner
        password = re.search(r"password: +(\S+)", welcome)
        link = re.search(r"sign in now: +(http://\S+)/#link=(prt_[\w-]{64})\n", welcome)
        assert password
        assert link
        form = {"grant_type": "password", "username": "admin", "password": password[1]}
        assert httpx.post(f"{first.url}/v1/auth/token", data=form).status_code == 200
        page = {"sec-fetch-site": "same-origin"}
        sign_in = f"{link[1]}/v1/auth/page/sign-in"
        issued = httpx.post(sign_in, data={"code": link[2]}, headers=page).json()
        assert httpx.post(sign_in, data={"code": link[2]}, headers=page).status_code == 400
        bearer = {"authorization": f"Bearer {issued['access_token']}"}
        assert httpx.get(f"{link[1]}/v1/models", headers=bearer).status_code == 200
        assert password[1] not in first.events()
        assert link[2] not in first.events()
    with serve(tmp_path, models=colours, POTOO_ADMIN_PASSWORD=NOT_SET) as second:
        # The keys are the same, so tokens stay valid after a restart.
        assert httpx.get(f"{second.url}/v1/models", headers=bearer).status_code == 200
        assert httpx.post(f"{second.url}/v1/auth/token", data=form).status_code == 200
        shown = all_output(second)
        assert "password" not in shown
        assert "#link" not in shown, "nobody watches this one"


def test_default_start_output_shows_no_secret(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server:
        shown = all_output(server)
        assert "ready" in shown
        assert "password" not in shown
        assert "token" not in shown


def test_configured_password_is_used_and_not_shown(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours, POTOO_ADMIN_PASSWORD="given by hand") as server:
        form = {"grant_type": "password", "username": "admin", "password": "given by hand"}
        assert httpx.post(f"{server.url}/v1/auth/token", data=form).status_code == 200
        assert "given by hand" not in all_output(server) + server.events()


def test_stored_files_are_private_to_the_owner(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server:
        server.token()
        files = [path for path in server.data_dir.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} >= {".pem", ".db"}
        for path in (*files, server.data_dir / "keys"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_data_folder_is_private_to_the_owner(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server:
        assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_idle_server(tmp_path: Path, colours: Path, number: int) -> None:
    with serve(tmp_path, models=colours) as server, many(server.address, 5) as silent:
        for connection in silent[:3]:
            connection.send(GET)
            connection.answer()
        server.process.send_signal(number)
        assert stopped(server) in {0, 128 + number, -number}
    assert "stopped" in server.events()
    assert "Traceback" not in server.events()


def test_accepted_requests_are_answered_during_shutdown(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server:
        request, statuses = classify(server), list[int]()

        def ask_until_the_end() -> None:
            with Connection(server.address) as connection:
                while True:
                    connection.send(request)
                    answer = connection.answer()
                    statuses.append(answer.status)
                    if len(statuses) == 8 * 10:
                        server.process.terminate()
                    if answer.headers.get("connection") == "close":
                        return

        crowd = [threading.Thread(target=ask_until_the_end) for _ in range(8)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(30)
        assert stopped(server) in {0, 143, -15}
    assert set(statuses) == {200}
    assert len(statuses) >= 80


def test_partially_sent_requests_are_answered_during_shutdown(
    tmp_path: Path, colours: Path
) -> None:
    with serve(tmp_path, models=colours) as server, many(server.address, 3) as connections:
        request = classify(server)
        for cut, connection in zip((20, -40, -1), connections, strict=True):
            connection.send(request[:cut])
        # Another client's response shows that the server has received them.
        get(server.address)
        server.process.terminate()
        for cut, connection in zip((20, -40, -1), connections, strict=True):
            connection.send(request[cut:])
            assert connection.answer().status == 200
        assert stopped(server) in {0, 143, -15}


def test_kept_alive_connection_is_closed_during_shutdown(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours) as server, Connection(server.address) as connection:
        connection.send(GET)
        assert connection.answer().status == 200
        server.process.terminate()
        assert wait_until(lambda: not server.listens(), pause=0.005)
        connection.send(GET)
        answer = connection.answer()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"


def test_stuck_client_does_not_outlast_the_grace_period(tmp_path: Path, colours: Path) -> None:
    with (
        serve(tmp_path, models=colours, POTOO_DRAIN_SECONDS="2") as server,
        Connection(server.address) as connection,
    ):
        connection.send(classify(server)[:-10])
        get(server.address)
        server.process.terminate()
        assert stopped(server) in {0, 143, -15}


# Several workers


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Any:
    """Two worker processes."""
    folder = tmp_path_factory.mktemp("pair")
    with serve(folder, models=colours, arguments=("--workers", "2")) as live:
        assert wait_until(lambda: times_ready(live) == 2)
        yield live


def times_ready(server: LiveServer) -> int:
    """Number of log lines of ready workers."""
    return sum(json.loads(line)["event"] == "ready" for line in server.events().splitlines())


def requests_counted(server: LiveServer) -> float:
    text = get(server.address, "/metrics").body.decode()
    return sum(
        map(
            float, re.findall(r"^potoo_http_requests_total{.*healthz.*} (\S+)$", text, re.MULTILINE)
        )
    )


def test_workers_share_their_counters(pair: LiveServer) -> None:
    before = requests_counted(pair)
    for _ in range(40):
        assert get(pair.address).status == 200
    assert {requests_counted(pair) for _ in range(10)} == {before + 40}


def test_killed_worker_is_replaced(pair: LiveServer) -> None:
    before, was_ready = requests_counted(pair), times_ready(pair)
    victim, other = pair.workers()
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: times_ready(pair) == was_ready + 1)
    assert victim not in pair.workers()
    assert other in pair.workers()
    assert len(pair.workers()) == 2
    for _ in range(10):
        # One connection each, so that both serve requests.
        answer = httpx.post(
            f"{pair.url}/v1/classify",
            files={"file": plain()},
            headers={"authorization": f"Bearer {pair.token()}"},
        )
        assert answer.json()["predictions"][0]["label"] == "red"
    assert requests_counted(pair) >= before
    assert f'"pid":{victim}' in pair.events()
    assert restarts(pair) == 1


def restarts(server: LiveServer) -> float:
    text = get(server.address, "/metrics").body.decode()
    (count,) = re.findall(r"^potoo_worker_restarts_total (\S+)$", text, re.MULTILINE)
    return float(count)


def test_replacement_worker_reuses_the_metric_files(pair: LiveServer) -> None:
    folder = Path(psutil.Process(next(iter(pair.workers()))).environ()["PROMETHEUS_MULTIPROC_DIR"])
    before, restarted = {path.name for path in folder.iterdir()}, restarts(pair)
    assert any(name == "counter_0.db" for name in before)
    for _ in range(2):
        was_ready = times_ready(pair)
        os.kill(next(iter(pair.workers())), signal.SIGKILL)
        assert wait_until(lambda: times_ready(pair) == was_ready + 1)  # noqa: B023 - used at once
    assert {path.name for path in folder.iterdir()} <= before
    assert restarts(pair) == restarted + 2
