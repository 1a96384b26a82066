"""The context of one call: who makes it, and how it is scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from service.core.scheduling.priority import Priority


@dataclass(slots=True)
class CallContext:
    """Caller and schedule of one call. Built once, by the transport, and passed down as it is.

    Attributes:
        owner: name of the caller; owners take turns in the queue.
        weight: of the owner, at least 1: its share of the turns beside those of other owners.
        protocol: label of the call in the metrics; the core does not interpret it.
        timeout: seconds from the moment that the input is complete; None for the default.
        may_keep: whether the caller lets the server keep the input, where a rule says so.
    """

    owner: str
    weight: int
    protocol: str
    priority: Priority = Priority.NORMAL
    timeout: float | None = None
    may_keep: bool = True
