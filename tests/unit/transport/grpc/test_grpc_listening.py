"""The gRPC port: shared by the server's workers, refused to other processes."""

from __future__ import annotations

import socket

import pytest

from service.settings import SettingsError
from service.transport.grpc.call import _address
from service.transport.grpc.server.listening import reserved, target


def listener(port: int, *, shared: bool) -> socket.socket:
    made = socket.socket()
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def test_free_port_is_found_and_reserved() -> None:
    with reserved("127.0.0.1", 0) as port:
        assert port
        with (
            pytest.raises(SettingsError, match=f"port {port} for gRPC: Address already in use"),
            reserved("127.0.0.1", port),
        ):
            pass
    with reserved("127.0.0.1", port) as again:
        assert again == port


def test_workers_share_the_reserved_port() -> None:
    with (
        reserved("127.0.0.1", 0) as port,
        listener(port, shared=True) as one,
        listener(port, shared=True) as other,
    ):
        assert one.getsockname() == other.getsockname()
        for _ in range(20):  # no connection reaches a port without a listener
            socket.create_connection(("127.0.0.1", port), timeout=5).close()


@pytest.mark.parametrize("shared", [True, False])
def test_port_in_use_is_refused(*, shared: bool) -> None:
    with listener(0, shared=shared) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(SettingsError, match="Address already in use"),
            reserved("127.0.0.1", port),
        ):
            pass


def test_foreign_address_is_refused() -> None:
    with (
        pytest.raises(SettingsError, match=r"192\.0\.2\.1 port 0 for gRPC"),
        reserved("192.0.2.1", 0),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1:8001"), ("::1", "[::1]:8001"), ("localhost", "localhost:8001")],
)
def test_address_is_formatted_with_ipv6_brackets(host: str, written: str) -> None:
    assert target(host, 8001) == written


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:48838", "127.0.0.1"),
        ("ipv6:%5B::1%5D:48838", "::1"),
        ("ipv6:[fe80::1%25eth0]:5", "fe80::1%eth0"),
        ("unix:/run/potoo", ""),
        ("", ""),
    ],
)
def test_peer_is_reduced_to_its_address(peer: str, address: str) -> None:
    assert _address(peer) == address
