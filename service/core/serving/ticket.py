"""The ticket of one call: its resolved model and its schedule.

::

    head of a request ─► Classifier.issue_ticket ─► Classifier.admit    refused here, or
    body of a request ─► Classifier.classify, classify_all, infer       answered
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.serving.model import Model


@dataclass(slots=True)
class Ticket:
    """An admitted call, from the headers of its request to its answer.

    A ticket reserves no place in the queue: an upload may take as long as its time limit, and a
    place reserved for it would be idle meanwhile. The batcher checks its limits again, in the step
    that queues the items. So a dropped ticket has nothing to release.

    Attributes:
        model: resolved when the ticket was issued.
        version: of the model, if the call names one, a number or a label; None for the default
            version.
        timeout: seconds from the moment that the input is complete.
        revision: of the registry when ``model`` was resolved. If it has changed by the time that
            the input is complete, the model is resolved again. None for a leased model, which
            answers in any case.
    """

    model: Model
    version: int | str | None
    call: CallContext
    timeout: float
    revision: int | None

    def deadline(self) -> float:
        """Return the deadline of input that is complete now: on ``time.monotonic``, in seconds."""
        return time.monotonic() + self.timeout

    def rescheduled(self, priority: Priority, timeout: float | None) -> Ticket:
        """Return the ticket with the schedule that the body of its request specifies.

        Args:
            timeout: seconds; None to keep that of the ticket.
        """
        if timeout is None and priority is self.call.priority:
            return self
        allowed = self.timeout if timeout is None else timeout
        call = replace(self.call, priority=priority, timeout=allowed)
        return replace(self, call=call, timeout=allowed)
