"""The gRPC port: shared by the server's workers, refused to other processes."""

from __future__ import annotations

import socket

import pytest

from service.settings import SettingsError
from service.transport.grpc.call import _address
from service.transport.grpc.listening import reserved, target


def listener(port: int, *, shared: bool) -> socket.socket:
    made = socket.socket()
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def test_a_free_port_is_found_and_kept() -> None:
    with reserved("127.0.0.1", 0) as port:
        assert port
        with (
            pytest.raises(SettingsError, match=f"port {port} for gRPC: Address already in use"),
            reserved("127.0.0.1", port),
        ):
            pass
    with reserved("127.0.0.1", port) as again:
        assert again == port


def test_workers_listen_on_it_together() -> None:
    with (
        reserved("127.0.0.1", 0) as port,
        listener(port, shared=True) as one,
        listener(port, shared=True) as other,
    ):
        assert one.getsockname() == other.getsockname()
        for _ in range(20):  # no connection reaches a port without a listener
            socket.create_connection(("127.0.0.1", port), timeout=5).close()


@pytest.mark.parametrize("shared", [True, False])
def test_a_port_that_somebody_listens_on_is_refused(*, shared: bool) -> None:
    with listener(0, shared=shared) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(SettingsError, match="Address already in use"),
            reserved("127.0.0.1", port),
        ):
            pass


def test_an_address_of_another_machine_is_refused() -> None:
    with (
        pytest.raises(SettingsError, match=r"192\.0\.2\.1 port 0 for gRPC"),
        reserved("192.0.2.1", 0),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1:8001"), ("::1", "[::1]:8001"), ("localhost", "localhost:8001")],
)
def test_addresses_are_written_as_usual(host: str, written: str) -> None:
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
def test_a_peer_is_known_by_its_address(peer: str, address: str) -> None:
    assert _address(peer) == address
