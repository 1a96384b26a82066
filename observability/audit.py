"""The security log: sign-ins, failures, refusals and changes. Never a secret.

A counter per event, and one structured line under the logger ``audit`` but for ``FREQUENT`` ones.
"""

from __future__ import annotations

from enum import StrEnum

from observability.logging import get_logger
from observability.metrics import Metrics


class AuditEvent(StrEnum):
    """A recorded event; also the label ``event`` of ``potoo_audit_events_total``."""

    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_IN_BLOCKED = "sign_in_blocked"
    TOKEN_REFRESHED = "token_refreshed"  # noqa: S105 - an event
    REFRESH_FAILED = "refresh_failed"
    REFRESH_REUSED = "refresh_reused"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - an event
    SESSION_ENDED = "session_ended"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - an event
    SCOPE_DENIED = "scope_denied"
    MODEL_DENIED = "model_denied"
    RATE_LIMITED = "rate_limited"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_REMOVED = "account_removed"
    SECRET_CHANGED = "secret_changed"  # noqa: S105 - an event
    KEYS_CHANGED = "keys_changed"
    MODEL_LOADED = "model_loaded"
    MODEL_UNLOADED = "model_unloaded"
    MODEL_PROMOTED = "model_promoted"
    MODEL_ROLLED_BACK = "model_rolled_back"
    MODEL_DEFAULT_CHANGED = "model_default_changed"


FREQUENT = {AuditEvent.TOKEN_REFUSED, AuditEvent.RATE_LIMITED}
"""Events that any caller can cause at will: they are only counted, and in the access log."""


class Audit:
    """Writes the security log."""

    def __init__(self, metrics: Metrics) -> None:
        self._counters = {event: metrics.audit_events.labels(event) for event in AuditEvent}

    def record(self, event: AuditEvent, **facts: object) -> None:
        """Count and log an event.

        Args:
            facts: such as ``account``, ``address``, ``session``; never a token or a password, nor
                an unknown account name, which may be a password.
        """
        self._counters[event].inc()
        if event not in FREQUENT:
            get_logger("audit").info(event, **facts)
