"""``/v1/sensors`` of a running server: definitions, one window, results, events, access."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from auth.store.database import database_url, open_database
from schemas.sensors import SensorAnswer
from service.coordination.kept_events import Retention
from service.sensors.records import Change, Outcome
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from tests.support.callers.accounts import add_device, bearer
from tests.support.models.tiny_model import write_model
from tests.support.sensors.answers import answer, claim, entry
from tests.support.sensors.tiny_series import LENGTH, window, write_series_model
from tests.support.servers.server import LiveServer, serve

SPEC: dict[str, Any] = {"channels": 3, "rate": 100, "model": "loudest"}
OCTETS = {"content-type": "application/octet-stream"}
Commit = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sensors")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    """A server with one model of series, one of images, and one sensor in its configuration."""
    for write in (write_series_model, write_model):
        write(folder / "models")
    definitions = json.dumps({"fixed": SPEC})
    with serve(folder, models=folder / "models", POTOO_SENSORS__DEFINITIONS=definitions) as live:
        yield live


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("sensors ingest") as client:
        yield client


@pytest.fixture
def pump(client: httpx.Client) -> Iterator[str]:
    client.post("/v1/sensors", json={"name": "pump", **SPEC}).raise_for_status()
    yield "/v1/sensors/pump"
    client.delete("/v1/sensors/pump").raise_for_status()


@pytest.fixture
def commit(folder: Path) -> Commit:
    """Store answers of the sensor ``pump``, as another process would that receives its samples."""

    async def store(answers: list[SensorAnswer], *changes: Change) -> Outcome:
        url = database_url(None, folder / "data/potoo.db")
        async with open_database(url) as database:
            events = EventStore(database, Retention(1e9, 1000))
            sensors = ChannelStore(database, events)
            now = asyncio.get_running_loop().time()
            await claim(sensors, "pump", owner=str(now))
            outcomes = await sensors.commit(
                [entry("pump", answers, owner=str(now), changes=changes)]
            )
            return outcomes[0]

    return lambda *given: asyncio.run(store(*given))


def test_sensor_is_added_changed_paused_and_removed(client: httpx.Client) -> None:
    added = client.post("/v1/sensors", json={"name": "yard", **SPEC})
    assert added.status_code == 201, added.text
    assert added.json()["status"] == "waiting"
    assert added.json()["spec"]["window"] is None
    path = "/v1/sensors/yard"
    changed = client.put(path, json={**SPEC, "stride": 4})
    assert changed.json()["spec"]["stride"] == 4
    assert client.post(f"{path}/pause").json()["status"] == "paused"
    refused = client.post(f"{path}/classify", content=window().tobytes(), headers=OCTETS)
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert client.post(f"{path}/resume").json()["status"] == "waiting"
    assert {one["name"] for one in client.get("/v1/sensors").json()["sensors"]} == {"fixed", "yard"}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"model": "none"}, 404, None),
        ({"model": "colours"}, 422, "/body/model"),
        ({"channels": 2}, 422, "/body/channels"),
        ({"window": 9}, 422, "/body/window"),
        ({"rate": 0}, 422, "/body/rate"),
        ({"agree": 2}, 422, "/body"),
        ({"name": "No!"}, 422, "/body/name"),
        ({"name": "fixed"}, 409, None),
    ],
)
def test_invalid_sensor_is_refused(
    client: httpx.Client, change: dict[str, Any], status: int, pointer: str | None
) -> None:
    refused = client.post("/v1/sensors", json={"name": "yard", **SPEC, **change})
    assert refused.status_code == status, refused.text
    if pointer:
        assert refused.json()["errors"][0]["pointer"] == pointer
    assert client.get("/v1/sensors/yard").status_code == 404


def test_sensor_of_the_configuration_is_not_changed(client: httpx.Client) -> None:
    path = "/v1/sensors/fixed"
    assert client.get(path).json()["is_configured"]
    for refused in (client.put(path, json=SPEC), client.delete(path)):
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_one_window_is_answered_in_both_forms_and_not_kept(client: httpx.Client, pump: str) -> None:
    samples = window()
    bytes_ = client.post(f"{pump}/classify", content=samples.tobytes(), headers=OCTETS).json()
    listed = client.post(f"{pump}/classify", json={"samples": samples.tolist()}).json()
    assert bytes_.pop("at")
    assert listed.pop("at")
    assert bytes_ == listed
    assert (bytes_["model"], bytes_["first_sequence"]) == ("loudest", 0)
    assert bytes_["label"] in {"first", "second", "third"}
    assert client.get(f"{pump}/results").json() == {"results": [], "next": 0}
    assert client.get(f"{pump}/windows").json() == {"windows": [], "gaps": []}


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (window().tobytes()[:-1], "application/octet-stream", 400, "invalid_tensor"),
        (window()[:-1].tobytes(), "application/octet-stream", 400, "invalid_tensor"),
        (b"", "application/octet-stream", 400, "invalid_tensor"),
        (
            np.full((LENGTH, 3), np.nan, np.float32).tobytes(),
            "application/octet-stream",
            400,
            "invalid_tensor",
        ),
        (b'{"samples": [[1, 2]]}', "application/json", 400, "invalid_tensor"),
        (b'{"samples": [[1e300, 2, 3]]}', "application/json", 400, "invalid_tensor"),
        (b'{"samples": []}', "application/json", 422, "invalid_parameter"),
        (b'{"rows": [[1, 2, 3]]}', "application/json", 422, "invalid_parameter"),
        (b"[", "application/json", 422, "invalid_parameter"),
        (b"1,2,3", "text/csv", 415, "unsupported_media_type"),
    ],
)
def test_window_that_does_not_fit_is_refused(
    client: httpx.Client, pump: str, body: bytes, kind: str, status: int, code: str
) -> None:
    refused = client.post(f"{pump}/classify", content=body, headers={"content-type": kind})
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text


def test_results_of_another_process_are_shown(
    client: httpx.Client, pump: str, commit: Commit
) -> None:
    answers = [answer(8 * number) for number in range(3)]
    commit(answers)
    kept = client.get(f"{pump}/results").json()
    assert [SensorAnswer.model_validate(one) for one in kept["results"]] == answers
    first = client.get(f"{pump}/results?after=0&limit=2").json()
    assert first["results"] == kept["results"][:2]
    rest = client.get(f"{pump}/results?after={first['next']}").json()
    assert (rest["results"], rest["next"]) == (kept["results"][2:], kept["next"])
    assert client.get(f"{pump}/results?after={rest['next']}").json() == {
        "results": [],
        "next": rest["next"],
    }
    assert client.get(pump).json()["answer"] == kept["results"][-1]


def test_events_are_listed_streamed_and_resumed(
    client: httpx.Client, pump: str, commit: Commit
) -> None:
    accept = {"accept": "text/event-stream"}
    with client.stream("GET", f"{pump}/events", headers=accept) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry: ")
        commit([answer(0)], Change("state", 1000.0, "first", None, 0.75, "loudest", 1))
        event = [line for _, line in zip(range(5), lines, strict=False) if line][:3]
    assert event[1] == "event: state"
    (kept,) = client.get(f"{pump}/events").json()["events"]
    assert json.loads(event[2].removeprefix("data: ")) == kept
    assert (kept["sensor"], kept["state"], kept["previous"]) == ("pump", "first", None)
    back = {**accept, "last-event-id": str(kept["id"] - 1)}
    with client.stream("GET", f"{pump}/events", headers=back) as stream:
        assert f"id: {kept['id']}" in stream.iter_lines()
    assert client.get(f"{pump}/events?after={kept['id']}").json() == {"events": []}
    assert client.get(pump).json()["state"] == "first"


def test_restricted_caller_sees_the_sensors_of_its_models(server: LiveServer, pump: str) -> None:
    allowed, other = (
        bearer(
            add_device(server, scopes=["sensors", "ingest"], models=[model]).sign_in()[
                "access_token"
            ]
        )
        for model in ("loudest", "colours")
    )
    with httpx.Client(base_url=server.url) as client:
        assert client.get(pump, headers=allowed).status_code == 200
        assert client.get("/v1/sensors", headers=other).json()["sensors"] == []
        for method, path in (
            *(("GET", pump), ("DELETE", pump), ("POST", f"{pump}/pause")),
            *(("GET", f"{pump}/events"), ("GET", f"{pump}/results"), ("GET", f"{pump}/windows")),
            ("POST", f"{pump}/classify"),
        ):
            assert client.request(method, path, headers=other).status_code == 404, path
        mine = {"name": "mine", **SPEC}
        assert client.post("/v1/sensors", json=mine, headers=other).status_code == 403


def test_each_route_needs_its_scope(server: LiveServer, pump: str) -> None:
    with server.client("ingest") as device, server.client("sensors") as person:
        assert device.get(pump).status_code == 403
        assert device.get("/v1/sensors").status_code == 403
        body = window().tobytes()
        assert device.post(f"{pump}/classify", content=body, headers=OCTETS).status_code == 200
        assert person.post(f"{pump}/classify", content=body, headers=OCTETS).status_code == 403
