"""The probes of ``tests/support/proxies/tls.py`` detect the faults that they look for."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.proxies.certificates import self_signed
from tests.support.proxies.tls import EVERYTHING, GOOD, OLD, Edge, is_modern


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed key and certificate for localhost."""
    folder = tmp_path_factory.mktemp("probe")
    certificate = self_signed(folder, "localhost")
    file = folder / "both.pem"
    file.write_bytes((folder / "key.pem").read_bytes() + certificate)
    return file


@contextmanager
def listening(pem: Path, lowest: ssl.TLSVersion, ciphers: str) -> Iterator[Edge]:
    """A server that only performs TLS handshakes, with the given weaknesses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = lowest

    def shake(client: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(client, server_side=True) as connection:
            connection.recv(1)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                shake(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield Edge(listener.getsockname(), pem)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_probe_finds_old_protocols_and_weak_ciphers(pem: Path) -> None:
    with listening(pem, ssl.TLSVersion.TLSv1, EVERYTHING) as careless:
        assert careless.versions() == OLD | GOOD
        assert "ECDHE-ECDSA-AES128-SHA" in careless.ciphers()
        assert careless.alpn("h2", "http/1.1") == "h2"
        assert careless.certificate()


def test_probe_finds_only_modern_protocols_on_a_strict_server(pem: Path) -> None:
    with listening(pem, ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM") as careful:
        assert careful.versions() == GOOD
        assert careful.ciphers() == {
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        }


def test_probe_refuses_a_certificate_for_another_name(pem: Path) -> None:
    with listening(pem, ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM") as edge:
        stranger = Edge(edge.address, pem, "potoo.lan")
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            stranger.certificate()


@pytest.mark.parametrize(
    ("cipher", "modern"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA256", False),
        ("AES128-GCM-SHA256", False),
        ("DHE-RSA-AES256-GCM-SHA384", False),
        ("ECDHE-ECDSA-AES128-CCM8", False),
    ],
)
def test_modern_ciphers_are_recognised(cipher: str, modern: bool) -> None:
    assert is_modern(cipher) is modern
