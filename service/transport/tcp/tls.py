"""TLS of the framed port: certificate and key on disk, renewed without a restart."""

from __future__ import annotations

import ssl

from observability.metrics.metrics import Metrics
from service.settings.sensors import SensorSettings
from service.transport.certificate import CertificatePair


class TcpTls:
    """The context of new connections.

    Attributes:
        context: reload it with ``renew``.
    """

    def __init__(self, pair: CertificatePair) -> None:
        """Load the pair.

        Raises:
            SettingsError: certificate and key cannot be read, or do not match.
        """
        self._pair = pair
        pair.first("sensors.tcp_cert, sensors.tcp_key")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(pair.certificate, pair.key)

    def renew(self) -> None:
        """Use changed files for new connections; call it about once a second."""
        if self._pair.changed() is not None:  # checked in a context of its own
            self.context.load_cert_chain(self._pair.certificate, self._pair.key)


def tls_of(settings: SensorSettings, metrics: Metrics) -> TcpTls | None:
    """Return the TLS of the framed port; None if it serves without TLS."""
    if settings.tcp_cert is None or settings.tcp_key is None:
        return None
    return TcpTls(CertificatePair(settings.tcp_cert, settings.tcp_key, metrics, "sensors"))
