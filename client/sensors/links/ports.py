"""The seam between the stream of samples and a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.sensor_wire.messages import Message


@dataclass(frozen=True, slots=True)
class Greeting:
    """Opening of a stream; ``token``: None if the server needs none."""

    name: str
    epoch: int
    next_sequence: int
    token: str | None


class Link(Protocol):
    """An open connection.

    Attributes:
        may_lose: what was sent may be lost although the connection is intact, as in a broker.
    """

    may_lose: bool

    async def greet(self, greeting: Greeting) -> None:
        """Ask for the first ACK.

        Raises:
            Disconnected: the connection ended.
        """

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send whole frames; waits while the other side reads slowly.

        Raises:
            Disconnected: the connection ended, or the other side reads nothing.
        """

    async def receive(self) -> Sequence[Message]:
        """Wait for messages.

        Raises:
            Disconnected: the connection ended, or what came cannot be understood.
        """
