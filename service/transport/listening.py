"""Ports: shared by worker processes, and errors of listening by the setting to correct."""

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


@contextmanager
def reserved(setting: str, host: str, port: int, purpose: str) -> Iterator[int]:
    """Reserve a port for the servers that this process starts; yield its number.

    Workers share the port with ``SO_REUSEPORT``, but so would any other program that sets it: a
    second server on the same port would get half of the connections. Here it is refused.

    Args:
        setting: name of the setting of the port.
        port: 0 takes a free one.
        purpose: for the message, such as " for gRPC".

    Raises:
        SettingsError: the port is taken, or the host is no address of this machine.
    """
    family = _family(host)
    with listening(setting, host, port, purpose):
        # Not shared, so that it fails if another program listens there.
        with socket.create_server((host, port), family=family) as alone:
            port = alone.getsockname()[1]
        kept = shared_socket(host, port)  # it never listens, so no connection ends up here
    with kept:
        yield port


def shared_socket(host: str, port: int) -> socket.socket:
    """Return a bound TCP socket whose port other processes may bind too.

    Raises:
        OSError, UnicodeError, TypeError: see ``listening``.
    """
    family = _family(host)
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _way_out(error: OSError, setting: str, host: str, port: int) -> str:
    is_in_group = "." in setting  # such settings have no option
    option = f"{setting} =" if is_in_group else f"--{setting.replace('_', '-')}"
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
