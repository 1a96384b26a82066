"""Which outcomes of frames and streams count as failures of the server in traces."""

from __future__ import annotations

import pytest

from observability.tracing.conventions import STREAM_SERVER_FAULTS, describe_stream
from observability.tracing.span import Trace
from schemas.errors import InferenceFailed, InvalidImage, ServerFault, ServiceError
from service.transport.http.middleware.errors import STATUS
from service.transport.http.stream.session.closing import CloseCode, refusal_code
from service.transport.http.stream.traces import note_outcome


def trace() -> Trace:
    return Trace("", lambda _: None)


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [(InvalidImage(), False), (InferenceFailed(), True), (ServerFault(), True)],
)
def test_only_server_faults_of_frames_are_failures(error: ServiceError, is_failure: bool) -> None:
    frame = trace()
    note_outcome(frame, error)
    assert (frame.error, frame.is_failure) == (error.code, is_failure)


@pytest.mark.parametrize(
    ("code", "error", "is_failure"),
    [
        (1000, "", False),
        (1006, "", False),
        (1012, "", False),
        (CloseCode.FAULT, "1011", True),
        (CloseCode.NO_CREDIT, "4420", False),
        (4503, "4503", True),
    ],
)
def test_close_codes_of_streams(code: int, error: str, is_failure: bool) -> None:
    stream = trace()
    stream.error = "invalid_image"  # of some message in the stream
    describe_stream(stream, route="/", code=code, frames=1, address=None, request_id="a")
    assert (stream.error, stream.is_failure) == (error, is_failure)


def test_every_refusal_by_a_fault_of_the_server_is_known() -> None:
    faults = {refusal_code(status) for status in STATUS.values() if status >= 500}
    assert faults | {CloseCode.FAULT.value} == STREAM_SERVER_FAULTS


def test_hold_begins_the_trace_earlier() -> None:
    frame = trace()
    began, began_ns = frame.began, frame.began_ns
    frame.hold("hold", 0.5)
    (hold,) = frame.children
    assert (hold.began, hold.ended) == (frame.began, began) == (began - 0.5, began)
    assert frame.wall_ns(began) == pytest.approx(began_ns, abs=1000)
