"""Port of a connection with a broker, and what crosses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

ONLINE, OFFLINE = b"online", b"offline"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish with QoS 1; an empty retained one removes the retained one."""

    topic: str
    payload: bytes
    is_retained: bool = True


class BrokerAway(Exception):
    """There is no connection, or it ended. The message is for the log."""


class Link(Protocol):
    """A connection with a broker."""

    async def publish(self, message: Message) -> None:
        """Publish with QoS 1; return when the broker acknowledged.

        Raises:
            BrokerAway: the connection ended, or there was no acknowledgement in time.
        """

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Publish with QoS 1; return when the broker acknowledged all of them.

        Raises:
            BrokerAway: as ``publish``; some may have been published.
        """

    async def lost(self) -> BrokerAway:
        """Wait until the connection ended; return why."""

    def retained_topics(self) -> frozenset[str]:
        """Return topics below ``LinkTopics.every_availability`` that were retained before."""


OpenLink = Callable[[], AbstractAsyncContextManager[Link]]
"""Connects with the last will; raises ``BrokerAway`` if there is no connection."""


class LinkTopics(Protocol):
    """The topics that a connection needs itself.

    Attributes:
        root: first levels of all topics; the client's id is made of it.
        status: of the last will.
        every_availability: filter of the retained topics to find.
    """

    root: str
    status: str
    every_availability: str
