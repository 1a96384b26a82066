"""Access rules of every transport: who may call, how often, and which models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auth.limiting.limits import Allowance
from auth.principal import Principal, Scope
from observability.logs.audit import AuditEvent
from observability.request import start_span
from observability.tracing.tracing import follow_caller
from schemas.errors import InsufficientScope, ModelForbidden, RateLimited, Unauthenticated
from service.runtime.identity import Identity


async def authorize(
    identity: Identity,
    scope: Scope | None,
    *,
    address: str,
    authorization: Sequence[str],
    allowance: Allowance,
    on_known: Callable[[Principal], object],
) -> Principal:
    """Return the caller, if its bearer token is valid, has the scope and is within the rate limits.

    Args:
        scope: None if any token will do.
        address: of the connection, or from a trusted proxy; never one that the caller claims.
        authorization: all values under that name; there must be exactly one.
        allowance: filled with the remaining quota, also if the call is refused.
        on_known: called with the caller as soon as it is known, for the access log.

    Raises:
        Unauthenticated: no token, several, or an invalid one.
        InsufficientScope: the token is valid, but lacks the scope.
        RateLimited: too many requests.
        NotReady: the revocation of the token cannot be checked.
    """
    limiter = identity.limiter
    try:
        with start_span("authenticate"):
            if limiter.is_on:
                await limiter.count_address(address, allowance)
            principal = await identity.authenticator.authenticate(_bearer_token(authorization))
            on_known(principal)
            if limiter.is_on:
                await limiter.count_principal(principal.name, allowance)
    except Unauthenticated:
        identity.audit.record(AuditEvent.TOKEN_REFUSED)
        raise
    except RateLimited:
        identity.audit.record(AuditEvent.RATE_LIMITED)
        raise
    follow_caller()
    if scope is not None and scope not in principal.scopes:
        identity.audit.record(AuditEvent.SCOPE_DENIED, account=principal.name, scope=scope)
        raise InsufficientScope(scope)
    return principal


def check_model(identity: Identity, principal: Principal, name: str) -> None:
    """Check that the caller may use a model; some callers may use only certain ones.

    Raises:
        ModelForbidden: the caller may not use the model of that name.
    """
    if not principal.may_use(name):
        identity.audit.record(AuditEvent.MODEL_DENIED, account=principal.name, model=name)
        raise ModelForbidden


def _bearer_token(values: Sequence[str]) -> str:
    if not values:
        raise Unauthenticated
    if len(values) > 1:
        message = "More than one Authorization header."
        raise Unauthenticated(message)
    scheme, _, token = values[0].strip(" ").partition(" ")
    if scheme.lower() != "bearer" or not token:
        message = "The Authorization header must be 'Bearer' and an access token."
        raise Unauthenticated(message)
    return token.strip(" ")
