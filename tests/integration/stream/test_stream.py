"""Frames over a WebSocket: what a well-behaved client gets."""

from __future__ import annotations

import json

import httpx
import pytest

from service.transport.http.server.websocket import MOST_FRAGMENTS
from tests.support.callers.accounts import add_device, bearer
from tests.support.callers.streams import Stream, connected, opened
from tests.support.models.pictures import BLUE, GREEN, RED, encoded, noise, plain
from tests.support.servers.server import LiveServer

COLOURS = {"red": plain(RED), "green": plain(GREEN), "blue": plain(BLUE)}


def classified(stream: Stream, number: int, image: bytes) -> str:
    """The summary of one frame."""
    stream.send_frame(number, image)
    result = stream.hear("result")
    assert result["frame"] == number
    label: str = result["summary"]["label"]
    return label


def test_frames_are_answered_in_order(server: LiveServer) -> None:
    with opened(server, top_k=1) as stream:
        labels = list(COLOURS) * 4
        for number, label in enumerate(labels):
            image = encoded(noise((1500, 1500))) if number == 0 else COLOURS[label]
            stream.send_frame(number, image)
            if number >= 7:
                assert stream.hear("result")["frame"] == number - 7
        for number in range(len(labels) - 7, len(labels)):
            result = stream.hear("result")
            assert result["frame"] == number
            assert [one["label"] for one in result["predictions"]] == [labels[number]]
            assert result["credits"] == 1
            assert 0 < result["timing"]["total_ms"] <= result["age_ms"]


def test_answer_is_that_of_http(server: LiveServer) -> None:
    image = encoded(noise((64, 48)))
    with server.client() as client:
        answer = client.post("/v1/classify?top_k=2", files={"file": image}).json()
    with opened(server, top_k=2) as stream:
        stream.send_frame(1, image)
        result = stream.hear("result")
    for name in ("model", "summary", "predictions", "abstained", "calibrated", "image"):
        assert result[name] == answer[name]


def test_bad_frame_gets_a_problem_and_the_stream_goes_on(server: LiveServer) -> None:
    with opened(server) as stream:
        stream.send_frame(1, b"not an image")
        error = stream.hear("error")
        assert (error["frame"], error["credits"]) == (1, 1)
        assert error["problem"]["code"] == "unsupported_image"
        assert error["problem"]["status"] == 415
        stream.send_frame(2, plain()[:60])
        assert stream.hear("error")["problem"]["code"] == "invalid_image"
        stream.websocket.send(b"short")
        assert stream.hear("error")["frame"] is None
        stream.websocket.send("{")
        assert stream.hear("error")["credits"] == 0
        assert classified(stream, 3, COLOURS["blue"]) == "blue"


def test_token_may_come_in_the_hello(server: LiveServer) -> None:
    with connected(server) as stream:
        welcome = stream.hello(token=server.token("stream"))
        assert 0 < welcome["expires_in"] <= 15 * 60 + 60
        assert classified(stream, 1, COLOURS["red"]) == "red"


def test_options_change_in_the_stream(server: LiveServer) -> None:
    with opened(server, top_k=2) as stream:
        stream.say("options", options={"model": "none"})
        assert stream.hear("error")["problem"]["code"] == "model_not_found"
        stream.say("options", options={"model": "colours", "top_k": 1})
        assert stream.hear("options")["options"]["top_k"] == 1
        stream.send_frame(1, plain())
        assert len(stream.hear("result")["predictions"]) == 1


def test_latest_drops_frames_and_counts_them(server: LiveServer) -> None:
    with opened(server, mode="latest") as stream:
        count = 8
        slow = encoded(noise((2000, 2000)))
        for number in range(count):
            stream.send_frame(number, slow if number == 0 else plain())
        heard = [stream.hear("result", "dropped") for _ in range(count)]
    results = [one["frame"] for one in heard if one["type"] == "result"]
    dropped = [one["frame"] for one in heard if one["type"] == "dropped"]
    assert results == sorted(results)
    assert results[0] == 0
    assert results[-1] == count - 1, "the newest frame is always answered"
    assert sorted(results + dropped) == list(range(count))
    assert heard[-1]["dropped"] == len(dropped) > 0


def test_smoothed_summary_changes_with_an_event(server: LiveServer) -> None:
    with opened(server, smooth=3) as stream:
        events = []
        for number, label in enumerate(["red", "red", "blue", "red", "blue", "blue"]):
            stream.send_frame(number, COLOURS[label])
            stream.hear("result")
            stream.say("ping", id=number)
            while (message := stream.hear("event", "pong"))["type"] == "event":
                events.append((number, message["summary"]["label"], message["previous"]))
    assert [event[:2] for event in events] == [(0, "red"), (4, "blue")]
    assert events[1][2]["label"] == "red"


def test_session_is_resumed_with_options_and_counters(server: LiveServer) -> None:
    with connected(server, server.token("stream")) as stream:
        session = stream.hello(options={"top_k": 1, "mode": "latest"})["session"]
        classified(stream, 1, plain())
        stream.send_frame(2, b"bad")
        stream.hear("error")
    with connected(server, server.token("stream")) as stream:
        welcome = stream.hello(resume=session, options={"mode": "all"})
    assert welcome["resumed"]
    assert (welcome["options"]["top_k"], welcome["options"]["mode"]) == (1, "all")
    assert welcome["counters"] == {"received": 2, "answered": 1, "failed": 1, "dropped": 0}
    assert welcome["session"] != session
    with connected(server, server.token("stream")) as stream:
        assert not stream.hello(resume=session)["resumed"], "an id is used once"


def test_session_of_another_account_is_not_resumed(server: LiveServer) -> None:
    with connected(server, server.token("stream")) as stream:
        session = stream.hello()["session"]
    other = add_device(server, scopes=["stream"]).sign_in()["access_token"]
    with connected(server, other) as stream:
        assert not stream.hello(resume=session)["resumed"]
    with connected(server, server.token("stream")) as stream:
        assert stream.hello(resume=session)["resumed"], "it is still there for its owner"


def test_token_is_renewed_in_the_stream(server: LiveServer) -> None:
    device, other = (add_device(server, scopes=["stream"]) for _ in range(2))
    with connected(server, device.sign_in()["access_token"]) as stream:
        stream.hello()
        stream.say("token", token=device.sign_in()["access_token"])
        assert stream.hear("token")["expires_in"] > 0
        for token in (other.sign_in()["access_token"], "nonsense"):
            stream.say("token", token=token)
            assert stream.hear("error")["problem"]["code"] == "unauthenticated"
        assert classified(stream, 1, plain()) == "red"


def test_frames_are_counted(server: LiveServer) -> None:
    def count() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        prefix = 'potoo_stream_frames_total{outcome="answered"} '
        (line,) = [line for line in text.splitlines() if line.startswith(prefix)]
        return float(line.removeprefix(prefix))

    before = count()
    with opened(server) as stream:
        classified(stream, 1, plain())
    assert count() == before + 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frame_may_come_in_fragments(server: LiveServer, size: int) -> None:
    message = bytes(8) + plain(BLUE)
    assert len(message) <= MOST_FRAGMENTS
    with opened(server) as stream:
        parts = (message[start : start + size] for start in range(0, len(message), size))
        stream.websocket.send(parts)
        assert stream.hear("result")["summary"]["label"] == "blue"


def test_plain_request_to_the_path_is_not_found(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/v1/stream", headers=bearer(server.token("stream")))
    assert (answer.status_code, json.loads(answer.text)["code"]) == (404, "not_found")
