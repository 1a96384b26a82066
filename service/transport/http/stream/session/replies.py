"""Messages of the server, as JSON objects; ``docs/websocket.md`` describes their members."""

from __future__ import annotations

from dataclasses import asdict

from service.core.imaging.answer import Named
from service.transport.http.stream.session.actions import Answer, Frame, Send, SessionState
from service.transport.http.stream.session.closing import CloseCode
from service.transport.http.stream.session.messages import StreamOptions


def welcome(
    state: SessionState,
    identifier: str,
    *,
    is_resumed: bool,
    granted: int,
    idle_seconds: float,
    expires_in: float,
) -> Send:
    """Build the answer to a hello; ``granted``: number of credits."""
    return Send(
        {
            "type": "welcome",
            "session": identifier,
            "resumed": is_resumed,
            "credits": granted,
            "options": state.options.model_dump(),
            "counters": asdict(state.counters),
            "idle_seconds": idle_seconds,
            "expires_in": expires_in,
        }
    )


def result(frame: Frame, answer: Answer, *, age: float, dropped: int) -> dict[str, object]:
    """Build the answer to a frame. ``age``: seconds since its arrival; ``dropped``: frames."""
    ref, found = answer
    return {
        "type": "result",
        "frame": frame.number,
        "model": ref,
        "summary": found.summary,
        "predictions": found.predictions,
        "labels_present": found.labels_present,
        "abstained": found.abstained,
        "calibrated": found.calibrated,
        "image": found.image,
        "timing": found.timing,
        "age_ms": round(age * 1000, 3),
        "dropped": dropped,
        "credits": 1,
    }


def dropped(frame: Frame, count: int) -> Send:
    """Report a frame that gets no answer; ``count``: of such frames, in all."""
    return Send({"type": "dropped", "frame": frame.number, "dropped": count, "credits": 1})


def event(frame: Frame, before: Named | None, after: Named | None) -> Send:
    """Report a change of the smoothed summary."""
    return Send({"type": "event", "frame": frame.number, "summary": after, "previous": before})


def options(changed: StreamOptions) -> Send:
    """Confirm a change of options."""
    return Send({"type": "options", "options": changed.model_dump()})


def goodbye() -> Send:
    """Announce that the server is being stopped."""
    return Send({"type": "goodbye", "code": int(CloseCode.RESTART)})
