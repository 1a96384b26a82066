"""Certificate folder: create missing files, renew certificates, never overwrite an authority."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from schemas.operator_error import OperatorError
from service.core.repository.atomic_files import replace_file
from service.pki.issuing import (
    belong_together,
    constraints_of,
    is_authority,
    is_signed_by,
    make_authority,
    make_certificate,
    make_key,
    names_in,
    private_pem,
    public_pem,
)
from service.pki.names import is_permitted, names_of, shown

SECRET, PUBLIC = 0o600, 0o644


class BadCertificates(OperatorError):
    """The folder's files cannot be used or renewed; the message says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """Certificates in the folder.

    Attributes:
        written: new or replaced files.
    """

    authority: x509.Certificate
    certificate: x509.Certificate
    written: list[Path]


class CertificateFolder:
    """Folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; ``ca-key.pem`` may be elsewhere."""

    def __init__(self, folder: Path, authority: Path | None = None) -> None:
        """``authority``: folder of ``ca-key.pem``; None for the same one."""
        self.folder, self.authority = folder, authority or folder
        self.ca, self.ca_key = folder / "ca.pem", self.authority / "ca-key.pem"
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"

    def bring_up_to_date(
        self, given: Sequence[str], now: datetime, *, days: int, renew_before: timedelta
    ) -> Found:
        """Create missing files; replace a certificate that expires soon or has other names or key.

        The key stays, so that one file is replaced, in one step: no server ever reads a certificate
        and a key that do not match.

        Args:
            given: names; if empty, those of the existing certificate.

        Raises:
            BadName, BadCertificates: nothing was changed.
            OSError: files may have been written, a new authority first; the next call with the same
            names uses them.
        """
        authority, old, key = self._read()
        names = names_of(given) if given or old is None else names_in(old)
        written: list[Path] = []
        until = now + renew_before
        if authority is None:
            authority, authority_key = self._add_authority(names, now)
            written += [self.ca_key, self.ca]
        elif old and not _reason(old, key, names, until):
            return Found(authority, old, written)
        else:
            authority_key = self._signing(authority, names, until)
        if key is None:
            key = make_key()
            written += [_write(self.key, private_pem(key), SECRET)]
        made = make_certificate(authority, authority_key, key, names, now, days)
        written += [_write(self.cert, public_pem(made), PUBLIC)]
        return Found(authority, made, written)

    def check(self, given: Sequence[str], now: datetime, *, renew_before: timedelta) -> Found:
        """Check the files, and write nothing.

        Raises:
            BadCertificates: a file is missing, due or wrong.
            BadName, OSError: see ``bring_up_to_date``.
        """
        authority, old, key = self._read()
        if authority is None or old is None:
            missing = self.ca if authority is None else self.cert
            raise BadCertificates(f"there is no {missing}")
        names = names_of(given) if given else names_in(old)
        if reason := _reason(old, key, names, now + renew_before):
            raise BadCertificates(f"{self.cert}: {reason}")
        return Found(authority, old, [])

    def _read(
        self,
    ) -> tuple[x509.Certificate | None, x509.Certificate | None, ec.EllipticCurvePrivateKey | None]:
        """Read the authority, the certificate and its key; None for missing ones."""
        misplaced = self.folder / self.ca_key.name
        if misplaced != self.ca_key and misplaced.exists():
            raise BadCertificates(f"move {misplaced} to {self.ca_key}: it is no file of a server")
        authority, old = _certificate(self.ca), _certificate(self.cert)
        if authority is None and self.ca_key.exists():
            raise BadCertificates(
                f"{self.ca_key} is there, {self.ca} is not: put it back, or choose another folder"
            )
        if authority is not None and not is_authority(authority):
            raise BadCertificates(f"{self.ca} is no authority")
        if old is not None and (authority is None or not is_signed_by(old, authority)):
            raise BadCertificates(f"{self.cert} is of another authority: choose another folder")
        return authority, old, _private(self.key)

    def _add_authority(
        self, names: Sequence[x509.GeneralName], now: datetime
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = make_key()
        authority = make_authority(key, names, now)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self.ca_key, private_pem(key), SECRET)
        try:
            _write(self.ca, public_pem(authority), PUBLIC)
        except OSError:
            self.ca_key.unlink()  # so that the next run finds no key without its authority
            raise
        return authority, key

    def _signing(
        self, authority: x509.Certificate, names: Sequence[x509.GeneralName], until: datetime
    ) -> ec.EllipticCurvePrivateKey:
        """Return the authority's key; raise ``BadCertificates`` if it cannot sign these names."""
        key = _private(self.ca_key)
        if key is None:
            raise BadCertificates(f"a new certificate needs {self.ca_key}, which is not there")
        if not belong_together(authority, key):
            raise BadCertificates(f"{self.ca_key} is not the key of {self.ca}")
        if authority.not_valid_after_utc <= until:
            end = f"{authority.not_valid_after_utc:%Y-%m-%d}"
            raise BadCertificates(f"{self.ca} ends on {end}: make another one in another folder")
        for name in names:
            if not is_permitted(name, constraints_of(authority)):
                raise BadCertificates(
                    f"{self.ca} was not made for {shown(name)}: make another one in another folder"
                )
        return key


def _reason(
    old: x509.Certificate,
    key: ec.EllipticCurvePrivateKey | None,
    names: Sequence[x509.GeneralName],
    until: datetime,
) -> str:
    """Return why a new certificate is needed; empty if none is."""
    if key is None or not belong_together(old, key):
        return "it does not belong to the key"
    if set(names_in(old)) != set(names):
        return f"it is for {', '.join(map(shown, names_in(old)))}"
    if old.not_valid_after_utc <= until:
        return f"it ends on {old.not_valid_after_utc:%Y-%m-%d}"
    return ""


def _certificate(file: Path) -> x509.Certificate | None:
    if not file.exists():
        return None
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError:
        raise BadCertificates(f"{file} holds no certificate in PEM") from None


def _private(file: Path) -> ec.EllipticCurvePrivateKey | None:
    if not file.exists():
        return None
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise BadCertificates(f"{file} may be read by others: chmod 600 it")
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError):
        raise BadCertificates(f"{file} holds no private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadCertificates(f"{file} holds no ECDSA key")
    return key


def _write(file: Path, content: bytes, mode: int) -> Path:
    """Replace a file atomically: a server may be reading it."""
    replace_file(file, content, mode)
    return file
