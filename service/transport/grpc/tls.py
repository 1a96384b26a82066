"""TLS with a certificate and key on disk; a renewed pair is used without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from service.settings import Settings, SettingsError


def credentials(settings: Settings, metrics: Metrics) -> grpc.ServerCredentials | None:
    """Return the server's TLS credentials; None if it serves without TLS.

    ``metrics`` exports when the certificate in use expires.

    Raises:
        SettingsError: certificate and key cannot be read, or do not match.
    """
    certificate, key = settings.grpc_tls_cert, settings.grpc_tls_key
    if certificate is None or key is None:
        return None
    pair = _Pair(certificate, key, metrics)
    try:
        first = pair.read()
    except OSError as error:
        is_no_pair = isinstance(error, ssl.SSLError)  # which is an OSError too
        reason = "they are no certificate and its key" if is_no_pair else error.strerror
        raise SettingsError(f"grpc_tls_cert, grpc_tls_key: {reason}") from error
    # gRPC accepts None for "unchanged", but its types do not.
    fetch: Callable[[], Any] = pair.fetch
    return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=False)


class _Pair:
    """Certificate file and key file, with the times of their last changes."""

    def __init__(self, certificate: Path, key: Path, metrics: Metrics) -> None:
        self._certificate, self._key = certificate, key
        self._expiry = metrics.certificate_expiry.labels("grpc")
        self._seen = self._times()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read certificate and key, and set the expiry metric.

        Raises:
            OSError: they cannot be read, or do not match.
        """
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
        chain = self._certificate.read_bytes()
        # The earliest of the chain: clients refuse it all once one has expired.
        try:
            ends = [one.not_valid_after_utc for one in x509.load_pem_x509_certificates(chain)]
        except ValueError as error:  # OpenSSL accepts certificates that break the standards
            raise ssl.SSLError(str(error)) from error
        self._expiry.set(min(ends).timestamp())
        return grpc.ssl_server_certificate_configuration([(self._key.read_bytes(), chain)])

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return a changed pair, else None; gRPC calls this per connection, on its own thread."""
        times = self._times()
        if times == self._seen:
            return None
        self._seen = times
        try:
            return self.read()
        except OSError as error:  # SSLError is one
            reason = type(error).__name__
            get_logger("grpc").error(
                "cannot reload certificate; keeping the previous one", reason=reason
            )
            return None

    def _times(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self._certificate, self._key))
        except OSError:
            return ()
