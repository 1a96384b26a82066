"""Actions that a session requests from its connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.sensor_wire.messages import Ack, Hello
from schemas.sensor_wire.packing import Samples
from schemas.sensors import SensorFault


@dataclass(frozen=True, slots=True)
class Open:
    """Check the token and open a channel; then call ``opened`` or ``refuse``."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Renew:
    """Check another token; then call ``renewed`` or ``reject``."""

    token: str = field(repr=False)


@dataclass(slots=True)  # frozen ones take a microsecond more
class Offer:
    """Offer samples of shape [n, channels] to the channel; ``at``: seconds since the epoch."""

    first: int
    values: Samples
    at: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Count a fault of the device at its sensor."""

    fault: SensorFault
    detail: str


@dataclass(frozen=True, slots=True)
class AskForAck:
    """Send the channel's state."""


@dataclass(frozen=True, slots=True)
class SendAck:
    """Send an ACK; a later one replaces it while it waits."""

    ack: Ack


@dataclass(frozen=True, slots=True)
class SendResult:
    """Send a RESULT frame, or drop it if the device does not read."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send any other frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the channel, which commits its complete windows; then call ``finished``."""


@dataclass(frozen=True, slots=True)
class Close:
    """Send what waits, and nothing after it; then end the connection. ``reason``: for the log."""

    reason: str


Action = Open | Renew | Offer | Report | AskForAck | SendAck | SendResult | Send | Finish | Close
