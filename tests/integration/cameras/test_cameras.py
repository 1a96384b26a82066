"""Cameras of a running server, over real sockets: watched, shown, changed, removed."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image

from tests.support.cameras.snapshots import SnapshotCamera, snapshot_camera
from tests.support.models.pictures import encoded, plain
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until

RED, BLUE = plain((255, 0, 0), format="JPEG"), plain((0, 0, 255), format="JPEG")
SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("cameras") as client:
        yield client


@pytest.fixture
def camera() -> Iterator[SnapshotCamera]:
    with snapshot_camera() as camera:
        camera.show(RED)
        yield camera


@contextmanager
def added(client: httpx.Client, camera: SnapshotCamera, **members: Any) -> Iterator[str]:
    """A camera of the server, removed at the end."""
    body = {"name": "door", "url": camera.url, "every_seconds": 0.1, **members}
    answer = client.post("/v1/cameras", json=body)
    assert answer.status_code == 201, answer.text
    try:
        yield body["name"]
    finally:
        client.delete(f"/v1/cameras/{body['name']}").raise_for_status()


def get(client: httpx.Client, name: str = "door") -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/cameras/{name}").raise_for_status().json()
    return found


def has(client: httpx.Client, **members: Any) -> bool:
    def holds() -> bool:
        found = get(client)
        return all(found[key] == value for key, value in members.items())

    return wait_until(holds)


def events_of(client: httpx.Client) -> list[dict[str, Any]]:
    """The kept events; a state is shown shortly before its event is kept."""
    found: list[dict[str, Any]] = client.get("/v1/cameras/door/events").json()["events"]
    return found


def problem(client: httpx.Client) -> str | None:
    found = get(client)["problem"]
    return found["reason"] if found else None


def series(server: LiveServer, name: str) -> str:
    text = httpx.get(f"{server.url}/metrics").text
    return "\n".join(line for line in text.splitlines() if line.startswith(name))


def test_camera_is_watched_and_changes_its_state(
    client: httpx.Client, server: LiveServer, camera: SnapshotCamera
) -> None:
    with added(client, camera):
        assert has(client, status="watching", state="red")
        found = get(client)
        assert (found["kind"], found["has_credentials"], found["problem"]) == ("http", False, None)
        assert found["answer"]["label"] == "red"
        assert found["answer"]["predictions"][0]["label"] == "red"
        assert found["frames"] >= found["classified"] >= 2
        camera.show(BLUE)
        assert has(client, state="blue")
        assert wait_until(lambda: len(events_of(client)) == 2)
        events = events_of(client)
        assert [(one["kind"], one["previous"], one["state"]) for one in events] == [
            ("state", None, "red"),
            ("state", "red", "blue"),
        ]
        later = client.get("/v1/cameras/door/events", params={"after": events[0]["id"]}).json()
        assert later["events"] == events[1:]
        assert 'potoo_camera_state{camera="door",state="blue"} 1.0' in series(
            server, "potoo_camera"
        )
        assert [one["name"] for one in client.get("/v1/cameras").json()["cameras"]] == ["door"]
    assert client.get("/v1/cameras/door").status_code == 404
    assert wait_until(lambda: 'camera="door"' not in series(server, "potoo_camera"))


def test_frame_is_a_small_jpeg(client: httpx.Client, camera: SnapshotCamera) -> None:
    camera.show(encoded(Image.new("RGB", (1600, 900), "red"), "JPEG"))
    with added(client, camera):
        assert has(client, status="watching")
        answer = client.get("/v1/cameras/door/frame").raise_for_status()
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("JPEG", (640, 360))
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["last-modified"].endswith("GMT")


def test_crop_is_what_is_classified(client: httpx.Client, camera: SnapshotCamera) -> None:
    halves = Image.new("RGB", (400, 200), "red")
    halves.paste("blue", (200, 0, 400, 200))
    camera.show(encoded(halves, "JPEG"))
    crop = {"x": 0.5, "y": 0, "width": 0.5, "height": 1}
    with added(client, camera, crop=crop, motion_threshold=2):
        assert has(client, state="blue")


def test_still_picture_is_not_classified_again(
    client: httpx.Client, camera: SnapshotCamera
) -> None:
    with added(client, camera, motion_threshold=2):
        assert wait_until(lambda: get(client)["frames"] >= 10)
        found = get(client)
        assert (found["state"], found["motion"]) == ("red", 0)
        assert found["classified"] <= 3
        camera.show(BLUE)
        assert has(client, state="blue")


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "http_status"), (500, "http_status"), (401, "unauthorized")]
)
def test_failure_is_shown_with_its_reason(
    client: httpx.Client, server: LiveServer, camera: SnapshotCamera, status: int, reason: str
) -> None:
    camera.fail(status)
    with added(client, camera):
        assert wait_until(lambda: problem(client) == reason)
        assert get(client)["status"] == "starting"
        counted = rf'potoo_camera_failures_total{{camera="door",reason="{reason}"}} [1-9]'
        assert wait_until(lambda: re.search(counted, series(server, "potoo_camera_failures")))
        assert client.get("/v1/cameras/door/frame").status_code == 404


def test_page_instead_of_picture_is_no_image(client: httpx.Client, camera: SnapshotCamera) -> None:
    camera.show(b"<html>sign in</html>", "text/html")
    with added(client, camera):
        assert wait_until(lambda: problem(client) == "not_an_image")
        camera.show(RED)
        assert has(client, status="watching", problem=None)


def test_vanished_camera_is_silent_and_comes_back(client: httpx.Client) -> None:
    with snapshot_camera() as camera:
        port = int(camera.url.split(":")[2].split("/")[0])
        camera.show(RED)
        body = {"name": "door", "url": camera.url, "every_seconds": 0.1, "silent_after_seconds": 1}
        client.post("/v1/cameras", json=body).raise_for_status()
        assert has(client, state="red")
    try:
        assert has(client, status="silent")
        assert wait_until(lambda: problem(client) == "unreachable")
        with snapshot_camera(port) as camera:
            camera.show(RED)
            assert has(client, status="watching", problem=None)

            def kinds() -> list[str]:
                return [event["kind"] for event in events_of(client)]

            assert wait_until(lambda: kinds() == ["state", "silent", "back"]), kinds()
    finally:
        client.delete("/v1/cameras/door")


def test_credentials_are_used_and_never_shown(
    client: httpx.Client, server: LiveServer, camera: SnapshotCamera
) -> None:
    secret_url = camera.url.replace("http://", f"http://anna:{SECRET}@")
    camera.fail(401)
    with added(client, camera, url=secret_url):
        assert wait_until(lambda: (camera.authorization or "").startswith("Basic "))
        shown = client.get("/v1/cameras").text
        assert SECRET not in shown
        assert "anna" not in shown
        assert get(client)["has_credentials"] is True
        assert get(client)["spec"]["url"] == camera.url
        camera.show(RED)
        same = {"url": f"{camera.url}?size=2", "every_seconds": 0.1}
        assert client.put("/v1/cameras/door", json=same).json()["has_credentials"] is True
        other = {"url": "http://127.0.0.2/snapshot.jpg", "every_seconds": 0.1}
        assert client.put("/v1/cameras/door", json=other).json()["has_credentials"] is False
    kept = (server.data_dir / "potoo.db").read_bytes() + server.log.read_bytes()
    assert SECRET.encode() not in kept
    assert (server.data_dir / "camera-credentials.key").stat().st_mode & 0o777 == 0o600


def test_paused_camera_is_not_asked(
    client: httpx.Client, server: LiveServer, camera: SnapshotCamera
) -> None:
    with added(client, camera):
        assert has(client, state="red")
        assert client.post("/v1/cameras/door/pause").json()["status"] == "paused"
        assert wait_until(lambda: 'camera="door"' not in series(server, "potoo_camera_frames"))
        before = camera.requests
        with added(client, camera, name="other"):
            assert wait_until(lambda: get(client, "other")["frames"] >= 5)
            asked = camera.requests - before
            assert asked <= get(client, "other")["frames"] + 1
        assert get(client)["state"] == "red"
        client.post("/v1/cameras/door/resume").raise_for_status()
        assert has(client, status="watching")


def test_preview_shows_the_whole_picture(client: httpx.Client, camera: SnapshotCamera) -> None:
    answer = client.post("/v1/camera-preview", json={"url": camera.url})
    assert answer.headers["content-type"] == "image/jpeg"
    camera.fail(404)
    failed = client.post("/v1/camera-preview", json={"url": camera.url})
    assert failed.status_code == 422
    assert "http_status" in failed.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data"}, 422, "/body/url"),
        ({"url": "http://8.8.8.8/snapshot.jpg"}, 422, "/body/url"),
        ({"url": "ftp://192.168.1.2/a.jpg"}, 422, "/body/url"),
        ({"url": "file:///etc/passwd"}, 422, "/body/url"),
        ({"name": "Door"}, 422, "/body/name"),
        ({"every_seconds": 0.01}, 422, "/body/every_seconds"),
        ({"model": "absent"}, 404, None),
    ],
)
def test_bad_configuration_is_refused(
    client: httpx.Client, change: dict[str, Any], status: int, pointer: str | None
) -> None:
    body = {"name": "door", "url": "http://127.0.0.1/a.jpg", **change}
    answer = client.post("/v1/cameras", json=body)
    assert answer.status_code == status, answer.text
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert client.get("/v1/cameras").json()["cameras"] == []


@pytest.mark.parametrize("name", ["Front door", "x" * 64, "-door"])
def test_name_is_explained_in_words(client: httpx.Client, name: str) -> None:
    body = {"name": name, "url": "http://127.0.0.1/a.jpg"}
    answers = [client.post("/v1/cameras", json=body), client.get(f"/v1/cameras/{quote(name)}")]
    for answer in answers:
        (error,) = answer.json()["errors"]
        assert answer.status_code == 422
        assert error["detail"].startswith("Write 1 to 63 small letters, digits")


def test_taken_name_is_a_conflict(client: httpx.Client, camera: SnapshotCamera) -> None:
    with added(client, camera):
        again = client.post("/v1/cameras", json={"name": "door", "url": camera.url})
        assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_events_are_streamed_and_resumed(client: httpx.Client, camera: SnapshotCamera) -> None:
    accept = {"accept": "text/event-stream"}
    with added(client, camera):
        assert wait_until(lambda: [one["state"] for one in events_of(client)] == ["red"])
        changing = threading.Timer(0, camera.show, (BLUE,))
        with client.stream("GET", "/v1/cameras/door/events", headers=accept) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines).startswith("retry: ")
            changing.start()
            event = [line for _, line in zip(range(5), lines, strict=False) if line][:3]
        identifier = event[0].removeprefix("id: ")
        assert event[1] == "event: state"
        assert '"state":"blue"' in event[2]
        back = {**accept, "last-event-id": str(int(identifier) - 1)}
        with client.stream("GET", "/v1/cameras/door/events", headers=back) as stream:
            assert f"id: {identifier}" in (line for line in stream.iter_lines())


def test_other_scopes_do_not_see_cameras(server: LiveServer) -> None:
    with server.client("admin") as admin:
        assert admin.get("/v1/cameras").status_code == 403
