"""A session of a stream with its budget, frame rate and clock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.errors import (
    Overloaded,
    ServiceError,
)
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    ModelRef,
    Prediction,
    Summary,
    Timing,
)
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.messages import StreamOptions
from service.transport.http.stream.session.session import Session

IDLE, LIFE = 60.0, 900.0


@dataclass
class Purse:
    """A budget that counts what is out."""

    capacity: int = 1000
    held: int = 0

    def take(self, count: int) -> None:
        if self.held + count > self.capacity:
            raise Overloaded
        self.held += count

    def give_back(self, count: int) -> None:
        self.held -= count
        assert self.held >= 0


@dataclass
class Waits:
    """A frame rate whose waits the test gives; 0 after the last."""

    seconds: list[float] = field(default_factory=list)

    def wait(self, owner: str, now: float) -> float:
        assert owner == "anna"
        assert now >= 0
        return self.seconds.pop(0) if self.seconds else 0.0


@dataclass
class Bench:
    """A session, and what it asked for."""

    purse: Purse = field(default_factory=Purse)
    rate: Waits = field(default_factory=Waits)
    now: float = 0.0
    done: list[do.Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(idle_seconds=IDLE, rate=self.rate, budget=self.purse, now=self.now)

    def perform(self, actions: Iterable[do.Action]) -> list[do.Action]:
        new = list(actions)
        self.done += new
        return new

    def say(self, type_: str, **members: object) -> list[do.Action]:
        text = json.dumps({"type": type_, **members})
        return self.perform(self.session.receive(text, self.now))

    def frame(self, number: int, image: bytes = b"image") -> list[do.Action]:
        message = number.to_bytes(8, "big") + image
        return self.perform(self.session.receive(message, self.now))

    def admit(self, **options: object) -> do.SessionState:
        state = do.SessionState("anna", StreamOptions.model_validate(options))
        grant = do.Grant("anna", self.now + LIFE)
        self.perform(self.session.admitted(grant, state, "id", self.now, is_resumed=False))
        return state

    def answer(
        self, frame: do.Frame, outcome: do.Answer | ServiceError | None = None
    ) -> list[do.Action]:
        return self.perform(self.session.answered(frame, outcome or answer(), self.now))

    def running(self) -> list[do.Frame]:
        """The frames that were to be classified and have no outcome yet."""
        asked = [one.frame for one in self.done if isinstance(one, do.Classify)]
        return [frame for frame in asked if frame.outcome is None]


def answer(label: str | None = "cat", score: float = 0.9) -> do.Answer:
    summary = None if label is None else Summary(label, score, 0, None)
    classification = Classification(
        summary,
        [Prediction("cat", 0, 0.9)],
        None,
        label is None,
        True,  # noqa: FBT003 - calibrated
        ImageFacts("PNG", 2, 2),
        Timing(1, 1, 1, 3),
    )
    return ModelRef("colours", 1), classification


def opened(**options: object) -> Bench:
    bench = Bench()
    bench.say("hello")
    bench.admit(**options)
    return bench


def kinds(actions: Sequence[do.Action]) -> list[str]:
    """The types of messages, and the names of other actions."""
    return [
        str(one.message["type"]) if isinstance(one, do.Send) else type(one).__name__
        for one in actions
    ]


def numbers(actions: Sequence[do.Action]) -> list[object]:
    """The frames that were answered or dropped, in order."""
    return [
        one.message["frame"] if isinstance(one, do.Send) else one.frame
        for one in actions
        if (isinstance(one, do.Send) and one.message.get("type") in {"result", "dropped"})
        or (isinstance(one, do.SendError) and one.credits)
    ]


def close_of(actions: Sequence[do.Action]) -> int:
    (code,) = [one.code for one in actions if isinstance(one, do.Close)]
    return code
