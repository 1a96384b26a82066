"""The port: reserved before anything is loaded, and shared by worker processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from service.transport.listening import listening


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Keeps a port for the servers that this process starts; gives its number, if ``port`` is 0.

    gRPC would share a port with whoever has the same idea (``SO_REUSEPORT``), so that a second
    server on the same port got half of the first one's calls. Here it is refused, as over HTTP.

    Raises:
        SettingsError: the port is taken, or the host is none of ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with listening("grpc_port", host, port, " for gRPC"):
        # Not shared, so that it fails if anybody listens there.
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
    """Both as gRPC and people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
