"""Probes a proxy from outside over TLS, as clients and attackers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import time
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.sync.client import ClientConnection, connect

from tests.support.callers.raw_http import PATIENCE, Answer, Connection
from tests.support.callers.rpc import Client

OLD = {"TLSv1", "TLSv1.1"}
GOOD = {"TLSv1.2", "TLSv1.3"}
VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
"""OpenSSL setting that also offers old protocols and weak ciphers."""
FORWARD_SECRET = "ECDHE-"
AUTHENTICATED = ("-GCM-SHA256", "-GCM-SHA384", "-CHACHA20-POLY1305")
DRIP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Edge:
    """The TLS address of a proxy, and the expected name in its certificate.

    Attributes:
        ca: PEM; the only trusted authority.
        name: sent as SNI and expected in the certificate; it must resolve to the proxy if
            ``client``, ``channel`` or ``websocket`` are used.
    """

    address: tuple[str, int]
    ca: Path
    name: str = "localhost"

    @property
    def url(self) -> str:
        return f"https://{self.name}:{self.address[1]}"

    def context(self, *alpn: str) -> ssl.SSLContext:
        """A TLS context that verifies chain and name."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Connect and complete the handshake.

        Raises:
            ssl.SSLError, ConnectionError: it was refused, by either side.
        """
        plain = socket.create_connection(self.address, PATIENCE)
        try:
            return (context or self.context()).wrap_socket(plain, server_hostname=self.name)
        except OSError:
            plain.close()
            raise

    def versions(self) -> set[str]:
        """Names of accepted TLS versions, of ``VERSIONS``."""
        return {name for name in VERSIONS if self._accepts(_anything(VERSIONS[name]))}

    def ciphers(self) -> set[str]:
        """OpenSSL names of all accepted TLS 1.2 ciphers.

        Each cipher that the proxy picks is removed from the offer, until the proxy refuses.
        """
        found: set[str] = set()
        while True:
            context = _anything(ssl.TLSVersion.TLSv1_2, without=found)
            try:
                with self.connect(context) as connection:
                    cipher = connection.cipher()
            except (ssl.SSLError, ConnectionError):
                return found
            assert cipher
            assert cipher[0] not in found
            found.add(cipher[0])

    def alpn(self, *offered: str) -> str | None:
        """The protocol that the proxy picks: ``h2``, ``http/1.1`` or None."""
        with self.connect(self.context(*offered)) as connection:
            return connection.selected_alpn_protocol()

    def certificate(self) -> bytes:
        """The proxy's certificate (DER), after verification of chain and name."""
        with self.connect() as connection:
            certificate = connection.getpeercert(binary_form=True)
        assert certificate
        return certificate

    def pin(self) -> str:
        """The hash of the certificate's key, in Chromium's format."""
        key = x509.load_der_x509_certificate(self.certificate()).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(spki).digest()).decode()

    def client(self, **options: Any) -> httpx.Client:
        """A client for HTTP/1.1; ``options`` of ``httpx.Client``."""
        options.setdefault("timeout", PATIENCE)
        # Ignore proxies in the environment of this machine.
        return httpx.Client(base_url=self.url, verify=self.context(), trust_env=False, **options)

    def channel(self) -> grpc.Channel:
        """A gRPC channel with its own connection."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        credentials = grpc.ssl_channel_credentials(self.ca.read_bytes())
        return grpc.secure_channel(f"{self.name}:{self.address[1]}", credentials, options)

    def rpc(self, channel: grpc.Channel, token: str | None = None) -> Client:
        """A client of Potoo's methods by their short names."""
        return Client(channel, token)

    def raw(self) -> Connection:
        """A raw HTTP/1.1 connection."""
        return TlsConnection(self)

    def exchange(self, data: bytes) -> list[Answer]:
        """Send ``data`` on a new connection; return all responses until the proxy closes it."""
        with self.raw() as connection:
            connection.send(data)
            return connection.answers()

    def get(self, path: str, *headers: str, host: str | None = None) -> Answer:
        """Send a GET with exactly this path and these headers."""
        lines = (f"GET {path} HTTP/1.1", f"Host: {host or self.name}", "Connection: close")
        (answer,) = self.exchange("\r\n".join((*lines, *headers, "", "")).encode())
        return answer

    def websocket(self, path: str = "/", **options: Any) -> ClientConnection:
        """An open WebSocket; ``options`` of ``websockets.sync.client.connect``."""
        url = f"wss://{self.name}:{self.address[1]}{path}"
        context = self.context("http/1.1")
        options.setdefault("open_timeout", PATIENCE)
        opened: ClientConnection = connect(url, ssl=context, proxy=None, **options)
        return opened

    def _accepts(self, context: ssl.SSLContext) -> bool:
        try:
            with self.connect(context):
                return True
        except (ssl.SSLError, ConnectionError):
            return False


class TlsConnection(Connection):
    """A raw connection over TLS."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge.address)
        try:
            self.socket = edge.context("http/1.1").wrap_socket(
                self.socket, server_hostname=edge.name
            )
        except OSError:
            self.socket.close()
            raise


def is_modern(cipher: str) -> bool:
    """Whether a TLS 1.2 cipher has forward secrecy and authenticated encryption."""
    return cipher.startswith(FORWARD_SECRET) and cipher.endswith(AUTHENTICATED)


def check_echo(socket: ClientConnection) -> None:
    """Check that text, bytes and pings of any length pass both ways, and a clean close."""
    with socket:
        for message in ("what is in this picture?", b"\x00\xff" * 2**15):
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        assert socket.ping().wait(PATIENCE)
    assert socket.close_code == 1000


def drip(connection: Connection, beginning: bytes, drop: bytes = b"a") -> tuple[float, bytes]:
    """Start a request and send a few bytes every 0.1 s until the proxy ends it.

    Returns:
        Seconds from the beginning, and the proxy's response; fails at a time-out.
    """
    began, said = time.monotonic(), b""
    connection.send(beginning)
    connection.socket.settimeout(DRIP_SECONDS)
    while time.monotonic() - began < 2 * PATIENCE:
        with contextlib.suppress(TimeoutError):
            try:
                data = connection.socket.recv(2**16)
            except (ssl.SSLEOFError, ConnectionError):
                data = b""
            if not data:
                return time.monotonic() - began, said
            said += data
        with contextlib.suppress(OSError):  # the next read detects it
            connection.socket.sendall(drop)
    raise AssertionError(f"nobody put an end to it; said so far: {said!r}")


def _anything(version: ssl.TLSVersion, *, without: Collection[str] = ()) -> ssl.SSLContext:
    """A TLS context without verification, for only this protocol version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(":".join([EVERYTHING, *(f"!{cipher}" for cipher in sorted(without))]))
    with warnings.catch_warnings():
        # Python warns about old protocol versions.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context
