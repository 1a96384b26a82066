"""SIGKILL at any moment: sessions survive, and only one refresh token per session is valid."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from auth.store.sessions import HANDLE_BYTES, PREFIX
from tests.support.callers.oauth_client import App
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

ROUNDS = 2
REVOKED_WITHIN = 2.0


def refresh_until_killed(app: App, token: str, process: int, delay: float) -> list[str]:
    """Refresh in a loop; kill the server ``delay`` seconds after the third response.

    Returns:
        The refresh tokens that the client received; it holds the last one.
    """
    held = [token]
    with httpx.Client(base_url=app.url) as client, contextlib.suppress(httpx.TransportError):
        while True:
            form = {"grant_type": "refresh_token", "refresh_token": held[-1]}
            answer = client.post("/v1/auth/token", data=form)
            held.append(answer.raise_for_status().json()["refresh_token"])
            if len(held) == 4:
                threading.Timer(delay, os.kill, (process, signal.SIGKILL)).start()
    return held


def refresh(app: App, token: str) -> httpx.Response:
    """Refresh like an app: wait and repeat on slow_down."""
    for _ in range(3):
        answer = app.refresh(token)
        if answer.status_code != 429:
            break
        time.sleep(float(answer.headers["retry-after"]))
    return answer


def live(app: App, tokens: list[str], client: tuple[str, str]) -> list[str]:
    """Return the valid ones by introspection, which does not use them up."""
    return [token for token in tokens if app.introspect(token, client).json()["active"]]


def test_server_killed_during_refresh_leaves_one_valid_token(
    tmp_path: Path, colours: Path, database_url: str
) -> None:
    # A grace period longer than a start on a slow machine.
    environment = {"POTOO_DATABASE_URL": database_url, "POTOO_AUTH__REFRESH_GRACE_SECONDS": "300"}
    held, client = list[str](), ("", "")
    for number in range(ROUNDS + 1):
        with serve(tmp_path, models=colours, arguments=(), **environment) as server:
            app = App(server.url)
            signed_in = app.sign_in()
            assert signed_in.status_code == 200
            tokens = signed_in.json()
            if number == 0:
                new = {"name": "gateway", "introspect": True}
                added = app.call("POST", "/v1/admin/clients", tokens["access_token"], json=new)
                client = "gateway", added.json()["secret"]
            else:
                before = held[-2:]
                assert len(live(app, before, client)) <= 1
                # The grace period covers both a lost response and a token that was not rotated yet.
                refreshed = refresh(app, held[-1])
                assert refreshed.status_code == 200, refreshed.text
                successor = refreshed.json()["refresh_token"]
                assert live(app, [*before, successor], client) == [successor]
                # An older one indicates theft, and ends the session.
                assert app.refresh(held[-2]).status_code == 400
                assert app.refresh(successor).status_code == 400
            if number < ROUNDS:
                delay = secrets.randbelow(20) / 1000
                held = refresh_until_killed(app, tokens["refresh_token"], server.process.pid, delay)
                assert server.process.wait(30) == -signal.SIGKILL


def is_current(database: Path, token: str) -> bool:
    """Whether a stopped server's database has this refresh token as a session's live one."""
    data = base64.urlsafe_b64decode(token.removeprefix(PREFIX))
    digest = hashlib.sha256(data[HANDLE_BYTES:]).hexdigest()
    with contextlib.closing(sqlite3.connect(database)) as opened:
        found = opened.execute("SELECT count(*) FROM sessions WHERE current = ?", (digest,))
        return bool(found.fetchone()[0])


def test_lost_answer_without_grace_is_refused_unless_never_used(
    tmp_path: Path, colours: Path
) -> None:
    environment = {"POTOO_AUTH__REFRESH_GRACE_SECONDS": "0"}
    with serve(tmp_path, models=colours, arguments=(), **environment) as server:
        app = App(server.url)
        held = refresh_until_killed(
            app, app.sign_in().json()["refresh_token"], server.process.pid, 0.005
        )
        assert server.process.wait(30) == -signal.SIGKILL
        never_used = is_current(server.data_dir / "potoo.db", held[-1])
    with serve(tmp_path, models=colours, arguments=(), **environment) as server:
        app = App(server.url)
        refreshed = refresh(app, held[-1])
        assert refreshed.status_code == (200 if never_used else 400)
        assert "Traceback" not in server.events()
        assert app.sign_in().status_code == 200


# The first start


def start_and_kill_at(folder: Path, models: Path, moment: str, environment: dict[str, str]) -> None:
    """Kill a first start as soon as ``moment`` holds."""
    ended = threading.Event()

    def kill_in_time() -> None:
        while not ended.is_set():
            if any(folder.glob(moment)):
                for child in psutil.Process().children():
                    # A server of another test may end meanwhile.
                    with contextlib.suppress(psutil.Error):
                        if str(folder) in " ".join(child.cmdline()):
                            child.kill()
                            return
            time.sleep(0.001)

    watching = threading.Thread(target=kill_in_time)
    watching.start()
    try:
        with (
            pytest.raises(AssertionError, match="did not start"),
            serve(folder, models=models, arguments=(), **environment),
        ):
            pass
    finally:
        ended.set()
        watching.join()


@pytest.mark.parametrize("moment", ["data/keys", "data/*.db", "data/*.db-wal"])
def test_killed_first_start_can_be_repeated(tmp_path: Path, colours: Path, moment: str) -> None:
    start_and_kill_at(tmp_path, colours, moment, {})
    with serve(tmp_path, models=colours) as server:
        app = App(server.url)
        token = app.sign_in().raise_for_status().json()["access_token"]
        users = app.call("GET", "/v1/admin/users", token).json()["users"]
        assert [user["name"] for user in users] == ["admin"]
        database = sqlite3.connect(server.data_dir / "potoo.db")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()


def test_partial_key_files_are_ignored(tmp_path: Path, colours: Path) -> None:
    keys = tmp_path / "data" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / ".half.pem.4711.part").write_text("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMB")
    (keys / ".empty.secret.4711.part").touch()
    with serve(tmp_path, models=colours) as server:
        assert App(server.url).sign_in().status_code == 200
        published = httpx.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
        assert len(published) == 1


# Several workers


@pytest.fixture
def workers(tmp_path: Path, colours: Path) -> Iterator[LiveServer]:
    """Two worker processes over SQLite."""
    with serve(tmp_path, models=colours, arguments=("--workers", "2")) as server:
        assert wait_until(lambda: server.events().count('"event":"ready"') == 2)
        yield server


def worker_of(server: LiveServer, client: httpx.Client) -> int:
    """The worker that serves a client's connection."""
    (stream,) = (response.extensions["network_stream"] for response in [client.get("/healthz")])
    _, port = stream.get_extra_info("client_addr")
    for worker in psutil.Process(server.process.pid).children():
        for connection in worker.net_connections("tcp"):
            if connection.raddr[1:] == (port,):
                return worker.pid
    raise AssertionError(port)


def test_revocation_by_one_worker_reaches_the_other(workers: LiveServer) -> None:
    app = App(workers.url)
    with contextlib.ExitStack() as stack:
        clients: dict[int, httpx.Client] = {}

        def connect() -> bool:
            client = stack.enter_context(httpx.Client(base_url=workers.url))
            clients.setdefault(worker_of(workers, client), client)
            return len(clients) == 2

        assert wait_until(connect)
        here, there = clients.values()
        for kind in ("access_token", "refresh_token"):
            tokens = app.sign_in().json()
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            for client in (here, there):
                assert client.get("/v1/models", headers=bearer).status_code == 200
            assert here.post("/v1/auth/revoke", data={"token": tokens[kind]}).status_code == 200
            assert here.get("/v1/models", headers=bearer).status_code == 401
            assert wait_until(
                lambda: there.get("/v1/models", headers=bearer).status_code == 401,  # noqa: B023 - used at once
                patience=REVOKED_WITHIN,
            )
