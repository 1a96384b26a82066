"""Names failures of PyAV without its words, which hold the URL and its password."""

from __future__ import annotations

import errno

import av

from service.cameras.sources.video.protocol import DEVICES, Failure, Request

_NO_DEVICE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM})
_PATIENCE = 0.9
"""Share of the time-out from which a failure counts as one, whatever exception it is."""


def why_not_opened(error: Exception, request: Request, waited: float) -> Failure:
    """Return why a source could not be opened.

    Args:
        error: of PyAV, or of the system.
        request: what was asked for.
        waited: seconds.
    """
    is_device = request.format == DEVICES
    if is_device and isinstance(error, OSError) and error.errno in _NO_DEVICE:
        return Failure("unsupported", "There is no such device, or it may not be used")
    if isinstance(error, av.HTTPUnauthorizedError):
        return Failure("unauthorized", "The camera refuses user and password, or asks for them")
    if isinstance(error, (av.HTTPClientError, av.HTTPError)):
        return Failure("http_status", f"The camera refuses the stream: {error.strerror}")
    if waited >= _PATIENCE * request.silence or isinstance(error, (av.ExitError, av.TimeoutError)):
        return Failure("timeout", f"The camera sends nothing within {request.silence:g} s")
    return _why_refused(error)


def _why_refused(error: Exception) -> Failure:
    if isinstance(error, ConnectionError):
        return Failure("unreachable", "The camera accepts no connection, or ends it at once")
    if isinstance(error, av.InvalidDataError):
        return Failure("not_an_image", "The source is no video of a known format")
    return Failure("decoder", f"The video cannot be opened ({type(error).__name__})")


def why_ended(error: Exception) -> Failure:
    """Return why a source that was open ended."""
    if isinstance(error, (av.ExitError, av.TimeoutError)):
        return Failure("timeout", "The camera sends nothing more")
    return Failure("ended", f"The video ended ({type(error).__name__})")
