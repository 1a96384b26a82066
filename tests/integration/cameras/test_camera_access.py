"""Who sees which camera, and how streams of events end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.callers.accounts import add_device, bearer
from tests.support.cameras.snapshots import SnapshotCamera, snapshot_camera
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

STREAM = {"accept": "text/event-stream"}
CAMERA = "/v1/cameras/gate"


@pytest.fixture
def camera() -> Iterator[SnapshotCamera]:
    with snapshot_camera() as camera:
        camera.show(plain(format="JPEG"))
        yield camera


@pytest.fixture
def gate(server: LiveServer, camera: SnapshotCamera) -> Iterator[str]:
    """A camera with the model ``colours``."""
    with server.client("cameras") as client:
        body = {"name": "gate", "url": camera.url, "model": "colours", "every_seconds": 0.2}
        client.post("/v1/cameras", json=body).raise_for_status()
        yield CAMERA
        client.delete(CAMERA)


def caller(server: LiveServer, *models: str) -> httpx.Client:
    device = add_device(server, scopes=["cameras"], models=list(models))
    token = device.sign_in()["access_token"]
    return httpx.Client(base_url=server.url, headers=bearer(token), timeout=60)


def test_restricted_caller_sees_the_cameras_of_its_models(server: LiveServer, gate: str) -> None:
    with caller(server, "colours") as allowed, caller(server, "other") as other:
        assert allowed.get(gate).status_code == 200
        assert len(allowed.get("/v1/cameras").json()["cameras"]) == 1
        assert other.get("/v1/cameras").json()["cameras"] == []
        for method, path in (
            *(("GET", gate), ("DELETE", gate), ("POST", f"{gate}/pause")),
            *(("GET", f"{gate}/frame"), ("GET", f"{gate}/events")),
        ):
            assert other.request(method, path).status_code == 404, path
        taken = {"url": "http://127.0.0.1/a.jpg", "model": "colours"}
        assert other.post("/v1/cameras", json={"name": "mine", **taken}).status_code == 403
        default = {"name": "mine", "url": "http://127.0.0.1/a.jpg"}
        assert other.post("/v1/cameras", json=default).status_code == 403
        moved = {"url": "http://127.0.0.1/a.jpg", "model": "other"}
        assert allowed.put(gate, json=moved).status_code == 403


def test_stream_of_events_ends_with_the_token(server: LiveServer, gate: str) -> None:
    device = add_device(server, scopes=["cameras"])
    with httpx.Client(base_url=server.url, headers=bearer(device.sign_in()["access_token"])) as one:
        with one.stream("GET", f"{gate}/events", headers=STREAM, timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry: ")
            with server.client("admin") as admin:
                admin.delete(f"/v1/admin/clients/{device.name}").raise_for_status()
            for _ in lines:  # to its end; the camera's first state may come before
                pass
        assert one.get(gate).status_code == 401


def test_stream_of_events_ends_when_the_camera_is_removed(server: LiveServer, gate: str) -> None:
    with server.client("cameras") as client:
        with client.stream("GET", f"{gate}/events?after=0", headers=STREAM) as stream:
            lines = stream.iter_lines()
            assert any(line == "event: state" for line in lines)
            client.delete(gate).raise_for_status()
            # At once: no comment of fifteen seconds later, and no event.
            assert [line for line in lines if line and not line.startswith(("id", "data"))] == []
        assert client.head(f"{gate}/events", headers=STREAM).status_code == 404


def test_head_of_a_stream_ends(server: LiveServer, gate: str) -> None:
    with server.client("cameras") as client:
        answer = client.head(f"{gate}/events", headers=STREAM)
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_stream_of_events_tells_to_come_back_when_the_server_stops(
    tmp_path: Path, colours: Path, camera: SnapshotCamera
) -> None:
    with serve(tmp_path, models=colours) as server, server.client("cameras") as client:
        client.post("/v1/cameras", json={"name": "gate", "url": camera.url}).raise_for_status()
        assert wait_until(lambda: client.get(CAMERA).json()["state"])
        with client.stream("GET", f"{CAMERA}/events?after=0", headers=STREAM) as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("data: ") for line in lines)
            server.process.terminate()
            left = [line for line in lines if line]
        assert left[-1].startswith("retry: ")
        server.process.wait(60)
        assert "stopped" in server.events()
