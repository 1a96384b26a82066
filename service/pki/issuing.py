"""Create keys, authorities and server certificates (RFC 5280); always ECDSA with P-256."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.pki.names import constraints_for

AUTHORITY_DAYS = 3650
MAX_SERVER_DAYS = 397
"""Apple's devices reject certificates that are valid for more than 398 days."""
BACKDATED = timedelta(hours=1)
"""Start of validity before now, for devices whose clocks are late."""


def make_key() -> ec.EllipticCurvePrivateKey:
    """Generate a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(
    key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName], now: datetime
) -> x509.Certificate:
    """Create a self-signed authority for these names and those of private networks."""
    serial = x509.random_serial_number()
    # A phone may list several authorities: the serial number distinguishes them.
    name = _called(f"Potoo authority {serial:040x}"[:24])
    builder = (
        _builder(name, name, key, now, now + timedelta(days=AUTHORITY_DAYS), serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(constraints_for(names), critical=True)
    )
    return builder.sign(key, hashes.SHA256())


def make_certificate(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    now: datetime,
    days: int = MAX_SERVER_DAYS,
) -> x509.Certificate:
    """Create a server certificate, valid for ``days``, but no longer than the authority's."""
    end = min(now + timedelta(days=days) - BACKDATED, authority.not_valid_after_utc)
    builder = (
        _builder(_called("Potoo"), authority.subject, key, now, end, x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    return builder.sign(authority_key, hashes.SHA256())


def names_in(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Return the subject alternative names of a certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(found.value)


def constraints_of(authority: x509.Certificate) -> x509.NameConstraints | None:
    """Return the name constraints of an authority; None if it has none."""
    try:
        return authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is a self-signed authority."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return basic.ca and is_signed_by(certificate, certificate)


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether ``authority`` signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def belong_together(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Return whether a certificate and a key match."""
    return certificate.public_key() == key.public_key()


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Encode a key as PKCS#8, unencrypted: servers start without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_pem(certificate: x509.Certificate) -> bytes:
    """Encode a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint in the format that phones show."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    end: datetime,
    serial: int,
) -> x509.CertificateBuilder:
    public = key.public_key()
    return x509.CertificateBuilder(
        issuer, subject, public, serial, now - BACKDATED, end
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
