"""Traces of WebSocket streams: one of the connection, and one of each frame, linked to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.callers.streams import Stream, connected, refusal
from tests.support.models.pictures import encoded, noise, plain
from tests.support.servers.collector import Span, Tree
from tests.support.servers.traced import (
    NOT_SAMPLED,
    SAMPLED,
    SPAN_ID,
    STAGES,
    TRACE_ID,
    Traced,
    traced,
)

STREAM, FRAME = "WS /v1/stream", "WS /v1/stream frame"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Traced]:
    with traced(tmp_path_factory.mktemp("traced"), colours) as both:
        yield both


@contextmanager
def open_stream(
    live: Traced, request_id: str, *, traceparent: str = "", **options: object
) -> Iterator[Stream]:
    headers = {"x-request-id": request_id} | ({"traceparent": traceparent} if traceparent else {})
    with connected(live.server, live.server.token("stream"), headers=headers) as stream:
        stream.hello(options=options)
        yield stream


def streamed(live: Traced, request_id: str, *images: bytes, traceparent: str = "") -> None:
    """Send frames one by one, on a stream of its own."""
    with open_stream(live, request_id, traceparent=traceparent) as stream:
        for number, image in enumerate(images):
            stream.send_frame(number, image)
            stream.hear("result", "error")


def spans_of(live: Traced, request_id: str, name: str) -> list[Span]:
    """Root spans of a stream, which ends last, or of its frames."""
    live.collector.until(lambda _: spans(live, request_id, STREAM) != [])
    return spans(live, request_id, name)


def spans(live: Traced, request_id: str, name: str) -> list[Span]:
    return [
        span
        for span in live.collector.spans
        if span.name == name and span.facts["potoo.request_id"] == request_id
    ]


def tree_of(live: Traced, root: Span) -> Tree:
    return Tree([span for span in live.collector.spans if span.trace_id == root.trace_id])


def test_stream_has_a_span_with_its_end(live: Traced) -> None:
    streamed(live, "a-stream", plain(), plain())
    (root,) = spans_of(live, "a-stream", STREAM)
    assert root.facts == {
        "http.request.method": "GET",
        "http.route": "/v1/stream",
        "potoo.stream.close_code": 1000,
        "potoo.stream.frames": 2,
        "potoo.request_id": "a-stream",
        "client.address": "127.0.0.1",
    }
    assert not root.is_error
    assert tree_of(live, root).names() == ["authenticate"]


def test_each_frame_has_a_trace_linked_to_the_stream(live: Traced) -> None:
    streamed(live, "frames", plain(), plain())
    (stream,) = spans_of(live, "frames", STREAM)
    frames = spans_of(live, "frames", FRAME)
    assert [frame.facts["potoo.frame"] for frame in frames] == [0, 1]
    assert len({stream.trace_id, *(frame.trace_id for frame in frames)}) == 3
    for frame in frames:
        assert frame.links == ((stream.trace_id, stream.span_id),)
        tree = tree_of(live, frame)
        assert tree.names() == ["authenticate", "classify"]
        assert tree.names(tree.only("classify")) == STAGES
        assert frame.begin >= stream.begin
        assert frame.end <= stream.end


def test_error_is_that_of_its_frame(live: Traced) -> None:
    # The second fails before the first is answered, so both answers are sent at once.
    with open_stream(live, "bad") as stream:
        stream.send_frame(0, encoded(noise((1500, 1500))))
        stream.send_frame(1, b"not an image")
        stream.hear("result")
        stream.hear("error")
    first, second = sorted(
        spans_of(live, "bad", FRAME), key=lambda span: int(span.facts["potoo.frame"])
    )
    assert "error.type" not in first.facts
    assert second.facts["error.type"] == "unsupported_image"
    (root,) = spans_of(live, "bad", STREAM)
    assert "error.type" not in root.facts
    assert not any(span.is_error for span in (first, second, root))


def test_wait_for_the_frame_before_it_is_shown(live: Traced) -> None:
    with open_stream(live, "held", mode="latest") as stream:
        stream.send_frame(0, encoded(noise((1500, 1500))))
        stream.send_frame(1, plain())
        for _ in range(2):
            stream.hear("result")
    first, second = spans_of(live, "held", FRAME)
    hold = tree_of(live, second).only("hold")
    assert hold.end - hold.begin > (first.end - first.begin) / 4
    assert second.begin == hold.begin < first.end


def test_caller_chooses_the_trace_of_the_stream(live: Traced) -> None:
    streamed(live, "joins", plain(), traceparent=SAMPLED)
    (root,) = spans_of(live, "joins", STREAM)
    assert (root.trace_id, root.parent_id) == (TRACE_ID, SPAN_ID)
    (frame,) = spans_of(live, "joins", FRAME)
    assert frame.links == ((TRACE_ID, root.span_id),)


def test_frames_of_a_stream_that_is_not_sampled_have_no_link(live: Traced) -> None:
    streamed(live, "alone", plain(), traceparent=NOT_SAMPLED)
    streamed(live, "after", plain())
    spans_of(live, "after", STREAM)
    assert not spans(live, "alone", STREAM)
    (frame,) = spans(live, "alone", FRAME)
    assert frame.links == ()


def test_refused_handshake_and_refused_hello_are_shown(live: Traced) -> None:
    headers = {"x-request-id": "refused"}
    assert refusal(live.server, "nonsense", headers=headers)[0] == 401
    root = live.trace_of("refused").root
    assert root.name == "GET /v1/stream"
    assert root.facts["http.response.status_code"] == 401
    with connected(live.server, headers={"x-request-id": "no-token"}) as stream:
        stream.say("hello")
        assert stream.closed()[0] == 4401
    (root,) = spans_of(live, "no-token", STREAM)
    assert root.facts["potoo.stream.close_code"] == 4401
    assert root.facts["error.type"] == "4401"
    assert not root.is_error
