"""The gRPC port: reserved before models are loaded, and shared by worker processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from service.transport.listening import listening


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Reserve a port for the servers that this process starts; yield its number.

    gRPC shares a port with any other program that sets ``SO_REUSEPORT``, so a second server on the
    same port would get half of the first one's calls. Here it is refused, as over HTTP.

    Args:
        port: 0 takes a free one.

    Raises:
        SettingsError: the port is taken, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening("grpc_port", host, port, " for gRPC"):
        # Not shared, so that it fails if another program listens there.
        with socket.create_server((host, port), family=family) as alone:
            port = alone.getsockname()[1]
        kept = socket.socket(family)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            kept.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        kept.bind((host, port))  # it never listens, so no connection ends up here
    with kept:
        yield port


def target(host: str, port: int) -> str:
    """Return ``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
