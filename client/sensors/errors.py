"""Errors of the sensor client.

::

    SensorClientError
    ├── QueueError              the queue on disk
    │   ├── QueueInUse          another process has it open
    │   ├── QueueMismatch       it was made for another number of channels
    │   └── QueueWriteFailed    the disk is full or broken
    ├── Disconnected            no connection, or it ended: the client connects again
    ├── Refused                 the server answered with an error
    │   ├── NotAuthorized       the token is missing, invalid, expired, or lacks a scope
    │   ├── UnknownSensor       no sensor of this name
    │   ├── NameInUse           another device sends under this name
    │   └── StaleEpoch          the sensor has a newer epoch: an old or copied queue
    ├── TokenUnavailable        the file or callable gave no token
    └── ClientClosed            the client was closed, or stopped after a refusal
"""

from __future__ import annotations

from typing import ClassVar

from schemas.errors import ErrorCode


class SensorClientError(Exception):
    """Base class; ``is_lasting`` says that connecting again does not help by itself."""

    is_lasting: ClassVar[bool] = False


class QueueError(SensorClientError):
    """The queue on disk cannot be used."""

    is_lasting = True


class QueueInUse(QueueError):
    """Another process has the queue open."""


class QueueMismatch(QueueError):
    """The queue holds samples with another number of channels."""


class QueueWriteFailed(QueueError):
    """Samples could not be written or synced; ``__cause__`` is the ``OSError``."""


class Disconnected(SensorClientError):
    """There is no connection, or it ended."""


class Refused(SensorClientError):
    """The server answered with an error.

    Attributes:
        code: of ``schemas.errors.ErrorCode`` or ``schemas.sensors.SensorFault``.
        retry_after: seconds after which the server asks to try again, or None.
    """

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        self.code, self.detail, self.retry_after = code, detail, retry_after
        super().__init__(f"{detail} ({code})")


class NotAuthorized(Refused):
    """The token is missing, invalid or expired, or does not permit sending to this sensor."""

    is_lasting = True


class UnknownSensor(Refused):
    """The server has no sensor of this name."""

    is_lasting = True


class NameInUse(Refused):
    """Another device sends under this name; after a minute of silence it no longer counts."""

    is_lasting = True


class StaleEpoch(Refused):
    """The sensor has a newer epoch: the queue is old or a copy, or the clock was set back."""

    is_lasting = True


class TokenUnavailable(SensorClientError):
    """The token's file cannot be read, or the callable failed; ``__cause__`` says why."""


class ClientClosed(SensorClientError):
    """The client was closed, or stopped after a refusal, which is ``__cause__``."""

    is_lasting = True


_TYPES: dict[str, type[Refused]] = {
    "unauthenticated": NotAuthorized,
    "invalid_credentials": NotAuthorized,
    "insufficient_scope": NotAuthorized,
    "model_forbidden": NotAuthorized,
    "not_found": UnknownSensor,
    "in_use": NameInUse,
    "stale_epoch": StaleEpoch,
}


_REFUSALS = {*_TYPES, *ErrorCode}


def is_refusal(code: str) -> bool:
    """Return whether a code says that nothing is taken; else it is a fault of some samples."""
    return code in _REFUSALS


def refusal(code: str, detail: str, retry_after: float | None = None) -> Refused:
    """Return the typed error for a code of the server."""
    return _TYPES.get(code, Refused)(code, detail, retry_after)
