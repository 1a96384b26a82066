"""The security log: sign-ins, failures, refusals and changes. Never a secret.

A counter per event, and one structured line under the logger ``audit``, except for ``FREQUENT``
ones. A server writes the lines with its other logs. A command, whose output is not collected,
appends them to a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import orjson

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.operator_error import OperatorError


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
    MODEL_ADDED = "model_added"
    MODEL_REMOVED = "model_removed"
    MODEL_LOADED = "model_loaded"
    MODEL_UNLOADED = "model_unloaded"
    MODEL_PROMOTED = "model_promoted"
    MODEL_ROLLED_BACK = "model_rolled_back"
    MODEL_DEFAULT_CHANGED = "model_default_changed"
    ROLLOUT_BEGUN = "rollout_begun"
    ROLLOUT_ENDED = "rollout_ended"
    CAMERA_ADDED = "camera_added"
    CAMERA_CHANGED = "camera_changed"
    CAMERA_REMOVED = "camera_removed"
    SENSOR_ADDED = "sensor_added"
    SENSOR_CHANGED = "sensor_changed"
    SENSOR_REMOVED = "sensor_removed"
    DATASET_ADDED = "dataset_added"
    DATASET_CHANGED = "dataset_changed"
    DATASET_REMOVED = "dataset_removed"
    DATASET_IMPORTED = "dataset_imported"
    DATASET_EXPORTED = "dataset_exported"
    PHOTO_REMOVED = "photo_removed"
    RUN_BEGUN = "run_begun"
    RUN_CANCELLED = "run_cancelled"
    PARAMETERS_ADDED = "parameters_added"
    PARAMETERS_REMOVED = "parameters_removed"
    FEDERATION_ADDED = "federation_added"
    FEDERATION_REMOVED = "federation_removed"
    FEDERATION_PUBLISHED = "federation_published"
    SITE_SUMS_SENT = "site_sums_sent"
    SITE_SUMS_REMOVED = "site_sums_removed"


FREQUENT = {AuditEvent.TOKEN_REFUSED, AuditEvent.RATE_LIMITED}
"""Events that any caller can cause at will: they are only counted, and in the access log."""


class AuditSink(Protocol):
    """A sink for the lines of the security log."""

    def write(self, event: AuditEvent, facts: Mapping[str, object]) -> None:
        """Write one line."""


class AuditLogger:
    """The logger ``audit``, at level ``info``."""

    def write(self, event: AuditEvent, facts: Mapping[str, object]) -> None:
        """Log an event."""
        get_logger("audit").info(event, **facts)


class AuditFile:
    """A file with a JSON object per line, as the logger ``audit`` writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: AuditEvent, facts: Mapping[str, object]) -> None:
        """Append an event; concurrent writers do not mix their lines.

        Raises:
            OperatorError: the file cannot be written.
        """
        head = {"timestamp": datetime.now(UTC), "level": "info", "logger": "audit", "event": event}
        line = orjson.dumps({**head, **facts}, default=str, option=orjson.OPT_APPEND_NEWLINE)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            message = f"{event}: done, but not recorded in {self._path}: {error.strerror}"
            raise OperatorError(message) from error


class Audit:
    """Writes the security log."""

    def __init__(self, metrics: Metrics, sink: AuditSink | None = None) -> None:
        """``sink``: None for the logger ``audit``."""
        self._sink: AuditSink = sink or AuditLogger()
        self._counters = {event: metrics.audit_events.labels(event) for event in AuditEvent}

    def record(self, event: AuditEvent, **facts: object) -> None:
        """Count and log an event.

        Args:
            facts: such as ``account``, ``address``, ``session``; never a token or a password, nor
                an unknown account name, which may be a password.
        """
        self._counters[event].inc()
        if event not in FREQUENT:
            self._sink.write(event, facts)
