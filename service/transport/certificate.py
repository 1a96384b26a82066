"""A certificate and its key on disk; a renewed pair is used without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from service.settings import SettingsError


class Pem(NamedTuple):
    """Contents of the two files."""

    key: bytes
    chain: bytes


class CertificatePair:
    """Certificate file and key file, with the times of their last changes."""

    def __init__(self, certificate: Path, key: Path, metrics: Metrics, port: str) -> None:
        """``metrics`` exports when the certificate expires, with the label ``port``."""
        self.certificate, self.key = certificate, key
        self._expiry, self._port = metrics.certificate_expiry.labels(port), port
        self._seen = self._times()

    def first(self, settings: str) -> Pem:
        """Read the pair at the start; ``settings``: their names, for the message.

        Raises:
            SettingsError: certificate and key cannot be read, or do not match.
        """
        try:
            return self._read()
        except OSError as error:
            is_no_pair = isinstance(error, ssl.SSLError)  # which is an OSError too
            reason = "they are no certificate and its key" if is_no_pair else error.strerror
            raise SettingsError(f"{settings}: {reason}") from error

    def changed(self) -> Pem | None:
        """Return the pair if the files changed and fit together, else None."""
        times = self._times()
        if times == self._seen:
            return None
        self._seen = times
        try:
            return self._read()
        except OSError as error:  # SSLError is one
            reason = type(error).__name__
            get_logger(self._port).error(
                "cannot reload certificate; keeping the previous one", reason=reason
            )
            return None

    def _read(self) -> Pem:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        chain = self.certificate.read_bytes()
        # The earliest of the chain: clients refuse it all once one has expired.
        try:
            ends = [one.not_valid_after_utc for one in x509.load_pem_x509_certificates(chain)]
        except ValueError as error:  # OpenSSL accepts certificates that break the standards
            raise ssl.SSLError(str(error)) from error
        self._expiry.set(min(ends).timestamp())
        return Pem(self.key.read_bytes(), chain)

    def _times(self) -> tuple[int, ...]:
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key))
        except OSError:
            return ()
