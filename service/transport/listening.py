"""Errors of listening, reported by the setting to correct."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from service.settings import SettingsError


@contextmanager
def listening(setting: str, host: str, port: int, purpose: str = "") -> Iterator[None]:
    """Convert errors of binding ``host`` and ``port``, the latter being ``setting``.

    Raises:
        SettingsError: the address cannot be listened on, or ``host`` is not a host name.
    """
    what = f"cannot listen on {host} port {port}{purpose}"
    try:
        yield
    except (UnicodeError, TypeError) as error:
        raise SettingsError(f"host: {what}: it is no name of a host") from error
    except OSError as error:
        number = error.errno or 0
        if number < 0:  # the resolver's, which ``create_server`` raises as a plain error
            raise SettingsError(f"host: {what}: there is no such host") from error
        about = "host" if number == errno.EADDRNOTAVAIL else setting
        raise SettingsError(f"{about}: {what}: {os.strerror(number)}") from error
