"""TLS with a certificate and key on disk; a renewed pair is used without a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from observability.metrics.metrics import Metrics
from service.settings import Settings
from service.transport.certificate import CertificatePair, Pem


def credentials(settings: Settings, metrics: Metrics) -> grpc.ServerCredentials | None:
    """Return the server's TLS credentials; None if it serves without TLS.

    ``metrics`` exports when the certificate in use expires.

    Raises:
        SettingsError: certificate and key cannot be read, or do not match.
    """
    certificate, key = settings.grpc_tls_cert, settings.grpc_tls_key
    if certificate is None or key is None:
        return None
    pair = CertificatePair(certificate, key, metrics, "grpc")
    first = pair.first("grpc_tls_cert, grpc_tls_key")

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Return a changed pair, else None; gRPC calls this per connection, on its own thread."""
        changed = pair.changed()
        return None if changed is None else _configuration(changed)

    # gRPC accepts None for "unchanged", but its types do not.
    fetch_any: Callable[[], Any] = fetch
    return grpc.dynamic_ssl_server_credentials(
        _configuration(first), fetch_any, require_client_authentication=False
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([pem])
