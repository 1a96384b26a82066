"""Errors of listening, reported by the setting to correct."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from service.settings import SettingsError

NEIGHBOURS = 20
"""Number of ports above one in use that are tried for the suggestion in the message."""
FIRST_PLAIN_PORT = 1024
"""First port that needs no privilege."""


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
        message = f"{about}: {what}: {os.strerror(number)}"
        raise SettingsError(message + _way_out(error, setting, host, port)) from error


def _way_out(error: OSError, setting: str, host: str, port: int) -> str:
    option = f"--{setting.replace('_', '-')}"
    if error.errno == errno.EADDRINUSE:
        free = _free_neighbour(host, port)
        return f" (perhaps by another Potoo); try {option} {free}" if free else ""
    if error.errno in {errno.EACCES, errno.EPERM} and port < FIRST_PLAIN_PORT:
        return f"; ports from {FIRST_PLAIN_PORT} on need no privilege: try {option} {port + 8000}"
    return ""


def _free_neighbour(host: str, port: int) -> int | None:
    """Return the first free port above ``port``; None if there is none near."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for near in range(port + 1, min(port + NEIGHBOURS, 65535) + 1):
        with suppress(OSError), socket.create_server((host, near), family=family):
            return near
    return None
