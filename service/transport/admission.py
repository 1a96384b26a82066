"""Admission of a call before its body is received: authorisation, model and schedule.

All transports pass the headers of a request. A request refused here costs no upload.
"""

from __future__ import annotations

from auth.principal import Principal
from service.core.scheduling.call_context import CallContext
from service.core.serving.ticket import Ticket
from service.runtime.runtime import Runtime
from service.transport.policy import check_model


def issue_ticket(
    runtime: Runtime,
    principal: Principal,
    model: str | None,
    version: int | str | None,
    call: CallContext,
) -> Ticket:
    """Return the ticket of a call for the named model, or for the default one.

    Does not check the queue: for calls whose input has been received, or has many items.

    Raises:
        ModelForbidden: the caller may not use this model.
        ModelNotChosen: the call names no model and there is no default; lists the names of models
            that the caller may use, never of others.
        ModelNotFound, NotReady: see ``Classifier.issue_ticket``.
    """
    ticket = runtime.classifier.issue_ticket(model, version, call, may_use=principal.may_use)
    check_model(runtime.identity, principal, ticket.model.ref.name)
    return ticket


def admit(
    runtime: Runtime,
    principal: Principal,
    model: str | None,
    version: int | str | None,
    call: CallContext,
) -> Ticket:
    """Return a ticket as ``issue_ticket`` does, unless the call would be refused at once.

    Raises:
        ModelForbidden, ModelNotChosen, ModelNotFound, NotReady: see ``issue_ticket``.
        Overloaded, DeadlineExceeded: see ``Classifier.admit``.
    """
    ticket = issue_ticket(runtime, principal, model, version, call)
    runtime.classifier.admit(ticket)
    return ticket
