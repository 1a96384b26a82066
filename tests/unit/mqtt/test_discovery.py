"""Discovery messages of Home Assistant."""

from __future__ import annotations

import json
import re

from service.cameras.results.topics import Topics
from service.mqtt.discovery import Discovery
from tests.support.results.fakes import camera

TOPICS = Topics("house/garage")
OBJECT_ID = re.compile(r"[A-Za-z0-9_-]+")


def announced(discovery: Discovery, name: str = "front-door") -> dict[str, dict[str, object]]:
    return {message.topic: json.loads(message.payload) for message in discovery.of_device(name)}


def test_camera_is_a_device_with_two_sensors() -> None:
    found = announced(Discovery("ha", TOPICS, "1.2.3"))
    state, problem = found.values()
    assert list(found) == [
        "ha/sensor/house_garage_front-door/state/config",
        "ha/binary_sensor/house_garage_front-door/problem/config",
    ]
    assert all(OBJECT_ID.fullmatch(level) for topic in found for level in topic.split("/"))
    assert state["device"] == problem["device"]
    assert state["unique_id"] != problem["unique_id"]
    assert problem["device_class"] == "problem"


def test_sensors_read_the_topics_that_are_published() -> None:
    published = {message.topic for message in TOPICS.of_camera(camera("front-door"), 0.9)}
    state, problem = announced(Discovery("ha", TOPICS, "1.2.3")).values()
    for sensor in (state, problem):
        assert {sensor["state_topic"], sensor["json_attributes_topic"]} <= published
    available = state["availability"]
    assert isinstance(available, list)
    assert {one["topic"] for one in available} <= {TOPICS.status, *published}


def test_installations_have_ids_of_their_own() -> None:
    one, two = (Discovery("ha", Topics(root), "1") for root in ("potoo", "cellar/potoo"))
    ids = [sensor["unique_id"] for of in (one, two) for sensor in announced(of).values()]
    assert len(set(ids)) == 4


def test_empty_prefix_announces_nothing() -> None:
    discovery = Discovery("", TOPICS, "1")
    assert not announced(discovery)
    assert not discovery.retained("door")
