"""The gRPC port: reserved before models are loaded, and shared by worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.transport import listening


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Reserve the port for the servers that this process starts; see ``listening.reserved``."""
    with listening.reserved("grpc_port", host, port, " for gRPC") as reserved_port:
        yield reserved_port


def target(host: str, port: int) -> str:
    """Return ``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
