"""The ticket of an RPC: its model, and its schedule from the caller's deadline."""

from __future__ import annotations

from service.core.scheduling.call_context import CallContext
from service.core.serving.ticket import Ticket
from service.runtime.runtime import Runtime
from service.transport.admission import issue_ticket
from service.transport.grpc.call import Call
from service.transport.open_inference.inference_parameters import MAX_TIMEOUT

PROTOCOL = "grpc"
"""Label of RPCs in the metrics."""


def ticket_of(
    runtime: Runtime, call: Call, model: str | None, version: int | str | None = None
) -> Ticket:
    """Return the ticket of an RPC for the named model, or for the default one.

    Raises:
        ModelForbidden, ModelNotChosen, ModelNotFound, NotReady: see ``admission.issue_ticket``.
    """
    caller, timeout = call.principal, call.timeout
    if timeout is not None:
        timeout = min(timeout, MAX_TIMEOUT)
    context = CallContext(caller.name, caller.weight, PROTOCOL, timeout=timeout)
    return issue_ticket(runtime, caller, model, version, context)
