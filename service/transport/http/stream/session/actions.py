"""Actions that a session requests from its connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from schemas.errors import ServiceError
from service.core.imaging.answer import Classification, ModelRef
from service.transport.http.stream.session.messages import Hello, StreamOptions

Answer = tuple[ModelRef, Classification]


@dataclass(slots=True, eq=False)
class Frame:
    """One frame from its arrival to its answer.

    Attributes:
        number: as given by the client; None if it could not be read.
        arrived: time of arrival, on the session's clock, in seconds.
        outcome: None until it is known.
    """

    number: int | None
    image: bytes
    arrived: float
    options: StreamOptions
    is_running: bool = False
    outcome: Answer | ServiceError | None = None


@dataclass(slots=True)
class Counters:
    """Frames of a session since its first connection; each is in one of the last three."""

    received: int = 0
    answered: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to stream. ``expires_at``: on the session's clock, in seconds."""

    owner: str
    expires_at: float


@dataclass(slots=True)
class SessionState:
    """Options and counters that a resumed stream restores."""

    owner: str
    options: StreamOptions
    counters: Counters = field(default_factory=Counters)


class FrameRate(Protocol):
    """Limit of frames per second, shared by the streams of an owner."""

    def wait(self, owner: str, now: float) -> float:
        """Count a frame; return 0, or the seconds after which it would be allowed."""


class Budget(Protocol):
    """Limit of bytes that the process holds; see ``BodyBudget``."""

    def take(self, count: int) -> None:
        """Take bytes, or raise ``Overloaded``."""

    def give_back(self, count: int) -> None:
        """Give back bytes that were taken."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a JSON object."""

    message: dict[str, object]


@dataclass(frozen=True, slots=True)
class SendError:
    """Send an error as a problem; ``frame``: the number, if it is about a frame."""

    error: ServiceError
    frame: int | None = None
    credits: int = 0


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Check the credentials, then call ``admitted`` or ``refuse``."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Renew:
    """Check a new token, then call ``renewed`` or ``reject``."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Check that the model is there and permitted, then call ``apply`` or ``reject``."""

    options: StreamOptions


@dataclass(frozen=True, slots=True)
class Classify:
    """Classify a frame, then call ``answered``."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Close:
    """Send what was queued, then close with a code of ``CloseCode`` or ``refusal_code``."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send the error, then close with its ``refusal_code``."""

    error: ServiceError


Action = Send | SendError | Authenticate | Renew | CheckOptions | Classify | Close | Refuse
