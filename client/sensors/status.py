"""State of a client."""

from __future__ import annotations

from dataclasses import dataclass

from client.sensors.errors import SensorClientError


@dataclass(frozen=True, slots=True)
class Status:
    """State of a client.

    Attributes:
        is_connected: the server answered on the present connection.
        epoch, next_sequence: of the queue.
        safe: the server needs nothing below; as of the last answer, 0 before the first.
        sent: samples below were sent on the present connection.
        queued_bytes: on disk.
        dropped: samples that were lost since the start because the queue was full or damaged.
        connections: that the server answered on.
        problem: why there is no connection, or None.
    """

    is_connected: bool
    epoch: int
    next_sequence: int
    safe: int
    sent: int
    queued_bytes: int
    dropped: int
    connections: int
    problem: SensorClientError | None
