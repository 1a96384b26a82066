"""Cameras of servers that are killed, whose disk is full, and that are several."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth.keys import make_private
from tests.support.cameras.snapshots import SnapshotCamera, snapshot_camera
from tests.support.models.pictures import plain
from tests.support.servers.databases import fresh_database
from tests.support.servers.server import LiveServer, serve, serve_together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
RED, BLUE = plain((255, 0, 0), format="JPEG"), plain((0, 0, 255), format="JPEG")


@pytest.fixture
def camera() -> Iterator[SnapshotCamera]:
    with snapshot_camera() as camera:
        camera.show(RED)
        yield camera


def add(client: httpx.Client, camera: SnapshotCamera, **members: Any) -> None:
    body = {"name": "door", "url": camera.url, "every_seconds": 0.2, **members}
    client.post("/v1/cameras", json=body).raise_for_status()


def get(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/cameras/door").raise_for_status().json()
    return found


def states(client: httpx.Client) -> list[str]:
    events = client.get("/v1/cameras/door/events").raise_for_status().json()["events"]
    return [event["state"] for event in events]


def test_full_disk_and_kill_lose_and_repeat_no_event(
    tmp_path: Path, colours: Path, camera: SnapshotCamera
) -> None:
    with serve(tmp_path, models=colours) as server, server.client("cameras") as client:
        add(client, camera)
        assert wait_until(lambda: states(client) == ["red"])
        full_disk_delays_events_and_nothing_else(server, client, camera)
        server.process.kill()
    with serve(tmp_path, models=colours) as server, server.client("cameras") as client:
        assert get(client)["state"] == "blue"
        assert wait_until(lambda: get(client)["classified"] >= 3)
        assert states(client) == ["red", "blue"]
        camera.show(RED)
        assert wait_until(lambda: states(client) == ["red", "blue", "red"])


def full_disk_delays_events_and_nothing_else(
    server: LiveServer, client: httpx.Client, camera: SnapshotCamera
) -> None:
    written, process = server.data_dir / "potoo.db-wal", server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (written.stat().st_size, before[1]))
    camera.show(BLUE)
    assert wait_until(lambda: get(client)["state"] == "blue")
    assert wait_until(lambda: "cannot keep events" in server.events())
    assert states(client) == ["red"]
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    resource.prlimit(process, resource.RLIMIT_FSIZE, before)
    assert wait_until(lambda: states(client) == ["red", "blue"])
    assert server.events().count("cannot keep events") == 1


def answers_for_all(client: httpx.Client) -> bool:
    """Whether ten calls, each on a new connection, tell of frames."""
    headers = {"authorization": client.headers["authorization"], "connection": "close"}
    for _ in range(10):
        found = client.get("/v1/cameras/door", headers=headers).json()
        if found["status"] != "watching" or found["frames"] < 3 or found["state"] != "red":
            return False
        frame = client.get("/v1/cameras/door/frame", headers=headers)
        if frame.headers["content-type"] != "image/jpeg":
            return False
    return True


def test_one_worker_watches_and_every_worker_answers(
    tmp_path: Path, colours: Path, camera: SnapshotCamera
) -> None:
    with (
        serve(tmp_path, models=colours, arguments=("--workers", "2")) as server,
        server.client("cameras") as client,
    ):
        add(client, camera)
        assert wait_until(lambda: answers_for_all(client))
        assert states(client) == ["red"]
        frames, asked = get(client)["frames"], camera.requests
        assert asked <= frames + 40, "one of them asks the camera"


def follows(server: LiveServer) -> bool:
    with server.client("cameras") as client:
        found = get(client)
        return (found["status"], found["state"]) == ("watching", "red")


def test_replica_takes_over_from_a_dead_one(
    tmp_path: Path, colours: Path, postgres: str, camera: SnapshotCamera
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(make_private("ES256"))
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with fresh_database(postgres) as url, ExitStack() as stack:
        servers = serve_together(
            stack,
            folders,
            models=colours,
            POTOO_DATABASE_URL=url,
            POTOO_AUTH__SIGNING_KEY_FILE=str(key),
        )
        with servers[0].client("cameras") as client:
            add(client, camera)
            assert wait_until(lambda: states(client) == ["red"])
        for server in servers:
            assert wait_until(partial(follows, server))

        def watches(server: LiveServer) -> bool:
            text = httpx.get(f"{server.url}/metrics").text
            return 'potoo_camera_frames_total{camera="door"}' in text

        assert [watches(server) for server in servers].count(True) == 1
        (dead,) = [server for server in servers if watches(server)]
        (alive,) = [server for server in servers if server is not dead]
        dead.process.kill()
        assert wait_until(lambda: watches(alive), patience=30)
        with alive.client("cameras") as client:
            camera.show(BLUE)
            assert wait_until(lambda: states(client) == ["red", "blue"])
