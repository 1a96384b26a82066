"""``potoo certs``: files that OpenSSL and real clients accept, and renewals."""

from __future__ import annotations

import re
import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from service.pki.folder import CertificateFolder, _private
from service.pki.issuing import make_certificate, make_key, private_pem, public_pem
from service.pki.names import names_of
from tests.support.servers.databases import missing
from tests.unit.cli.conftest import Potoo, failed

FILES = {"ca.pem": 0o644, "ca-key.pem": 0o600, "cert.pem": 0o644, "key.pem": 0o600}
NAMES = ("--name", "potoo.lan", "--name", "192.168.1.20", "--name", "fd00::1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "certs"


@pytest.fixture
def made(potoo: Potoo, folder: Path) -> Path:
    """The files of the first run."""
    assert potoo("certs", *NAMES, "--output", folder).exit_code == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certificate(folder: Path, name: str = "cert.pem") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def verified(ca: Path, cert: Path, *options: str) -> bool:
    """Verify with OpenSSL's strictest options."""
    if not shutil.which("openssl"):
        missing("openssl")
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(ca)]
    done = subprocess.run([*command, *options, str(cert)], capture_output=True, check=False)
    return done.returncode == 0


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_four_files_are_created_with_private_keys_protected(made: Path) -> None:
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == FILES
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made / "cert.pem", made / "key.pem")


@pytest.mark.process
def test_openssl_accepts_only_the_given_names(made: Path) -> None:
    ca, cert = made / "ca.pem", made / "cert.pem"
    assert verified(ca, cert, "-verify_hostname", "potoo.lan")
    assert verified(ca, cert, "-verify_ip", "192.168.1.20")
    assert verified(ca, cert, "-verify_ip", "fd00::1")
    assert not verified(ca, cert, "-verify_hostname", "other.lan")
    assert not verified(ca, cert, "-verify_ip", "192.168.1.21")


def test_certificate_meets_apples_validity_and_usage_rules(made: Path) -> None:
    one = certificate(made)
    assert one.not_valid_after_utc - one.not_valid_before_utc <= timedelta(days=397)
    usage = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_authority_lasts_ten_years_and_cannot_sign_authorities(made: Path) -> None:
    ca = certificate(made, "ca.pem")
    assert timedelta(days=3649) < ca.not_valid_after_utc - datetime.now(UTC)
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)


@pytest.mark.process
def test_authority_cannot_sign_foreign_public_names(made: Path, tmp_path: Path) -> None:
    key = _private(made / "ca-key.pem")
    assert key
    for name, good in (("other.lan", True), ("bank.example", False)):
        forged = make_certificate(
            certificate(made, "ca.pem"), key, make_key(), names_of([name]), in_days(0)
        )
        (tmp_path / "forged.pem").write_bytes(public_pem(forged))
        assert verified(made / "ca.pem", tmp_path / "forged.pem") is good


def test_output_shows_expiry_fingerprints_and_trust_instructions(
    potoo: Potoo, folder: Path
) -> None:
    told = potoo("certs", *NAMES, "--output", folder).stdout
    ca, cert = certificate(folder, "ca.pem"), certificate(folder)
    assert f"until {ca.not_valid_after_utc:%Y-%m-%d}" in told
    assert f"until {cert.not_valid_after_utc:%Y-%m-%d}" in told
    assert len(re.findall(r"SHA-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}\n", told)) == 2
    assert "for\tpotoo.lan, 192.168.1.20, fd00::1\n" in told
    assert f"curl --cacert {folder}/ca.pem https://potoo.lan/healthz" in told
    assert "Certificate Trust Settings" in told
    assert "PRIVATE" not in told


def test_second_run_changes_nothing(potoo: Potoo, made: Path) -> None:
    before = contents(made)
    for names in ((), NAMES):
        again = potoo("certs", *names, "--output", made)
        assert again.exit_code == 0
        assert "nothing: everything is valid" in again.stdout
        assert "curl" not in again.stdout
    assert contents(made) == before


@pytest.mark.process
def test_only_the_expiring_certificate_is_renewed(potoo: Potoo, made: Path) -> None:
    before = contents(made)
    # The certificate is valid for 397 more days.
    assert potoo("certs", "--output", made, "--renew-before", "396").exit_code == 0
    assert contents(made) == before
    later = CertificateFolder(made).bring_up_to_date(
        (), in_days(380), days=397, renew_before=timedelta(days=30)
    )
    assert later.written == [made / "cert.pem"]
    after = contents(made)
    assert {name for name in FILES if before[name] != after[name]} == {"cert.pem"}
    assert later.certificate.not_valid_after_utc > in_days(700)
    assert verified(
        made / "ca.pem", made / "cert.pem", "-attime", f"{in_days(500).timestamp():.0f}"
    )


@pytest.mark.process
def test_new_name_gets_a_certificate_of_the_same_authority(potoo: Potoo, made: Path) -> None:
    assert potoo("certs", "--name", "cam.lan", "--output", made).exit_code == 0
    assert verified(made / "ca.pem", made / "cert.pem", "-verify_hostname", "cam.lan")
    assert not verified(made / "ca.pem", made / "cert.pem", "-verify_hostname", "potoo.lan")


def test_check_writes_nothing_and_reports_by_exit_status(potoo: Potoo, folder: Path) -> None:
    failed(potoo("certs", "--check", "--output", folder), "there is no")
    assert not folder.exists()
    potoo("certs", *NAMES, "--days", "20", "--renew-before", "1", "--output", folder)
    before = contents(folder)
    check = ("certs", "--check", "--output", folder)
    assert potoo(*check, "--renew-before", "5").exit_code == 0
    failed(potoo(*check, "--name", "cam.lan"), "it is for potoo.lan")
    failed(potoo(*check, "--renew-before", "25"), "it ends on")
    (folder / "key.pem").write_bytes(private_pem(make_key()))
    failed(potoo(*check), "does not belong to the key")
    assert contents(folder) | {"key.pem": b""} == before | {"key.pem": b""}


def test_authority_is_never_replaced(potoo: Potoo, made: Path) -> None:
    ca, key = (made / "ca.pem").read_bytes(), (made / "ca-key.pem").read_bytes()
    renew = ("certs", "--name", "cam.lan", "--output", made)
    failed(potoo("certs", "--name", "bank.example", "--output", made), "not made for bank.example")
    (made / "ca-key.pem").unlink()
    failed(potoo(*renew), "ca-key.pem, which is not there")
    (made / "ca-key.pem").write_bytes(private_pem(make_key()))
    failed(potoo(*renew), "may be read by others")
    (made / "ca-key.pem").chmod(0o600)
    failed(potoo(*renew), "is not the key of")
    (made / "ca-key.pem").write_bytes(key)
    (made / "ca.pem").unlink()
    failed(potoo(*renew), "put it back")
    (made / "ca.pem").write_bytes(b"nonsense")
    failed(potoo(*renew), "holds no certificate in PEM")
    (made / "ca.pem").write_bytes((made / "cert.pem").read_bytes())
    failed(potoo(*renew), "is no authority")
    (made / "ca.pem").write_bytes(ca)
    assert potoo(*renew).exit_code == 0
    assert (made / "ca.pem").read_bytes() == ca


def test_certificate_of_another_authority_is_left_unchanged(
    potoo: Potoo, made: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(made / "cert.pem", other)
    before = contents(other)
    failed(potoo("certs", *NAMES, "--output", other), "of another authority")
    assert contents(other) == before


def test_certificate_never_outlives_its_authority(made: Path) -> None:
    folder = CertificateFolder(made)
    margin = timedelta(days=30)
    end = certificate(made, "ca.pem").not_valid_after_utc
    late = folder.bring_up_to_date((), end - timedelta(days=100), days=397, renew_before=margin)
    assert late.certificate.not_valid_after_utc == end
    with pytest.raises(Exception, match="make another one in another folder"):
        folder.bring_up_to_date((), end - timedelta(days=5), days=397, renew_before=margin)


def test_invalid_names_create_no_files(potoo: Potoo, folder: Path) -> None:
    failed(potoo("certs", "--output", folder), "no name is given")
    failed(potoo("certs", "--name", "*.lan", "--output", folder), "wildcards")
    assert not folder.exists()


@pytest.mark.process
def test_interrupted_run_is_completed_by_the_next(folder: Path) -> None:
    def run(certificates: CertificateFolder) -> list[Path]:
        margin = timedelta(days=30)
        return certificates.bring_up_to_date(
            ["potoo.lan"], in_days(0), days=90, renew_before=margin
        ).written

    first = CertificateFolder(folder)
    first.cert = folder / "missing" / "cert.pem"
    with pytest.raises(OSError, match="missing"):
        run(first)
    half = contents(folder)
    assert set(half) == {"ca.pem", "ca-key.pem", "key.pem"}
    assert run(CertificateFolder(folder)) == [folder / "cert.pem"]
    assert half.items() <= contents(folder).items()
    assert verified(folder / "ca.pem", folder / "cert.pem", "-verify_hostname", "potoo.lan")


def test_unwritable_folder_leaves_no_partial_files(potoo: Potoo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed(potoo("certs", *NAMES, "--output", tmp_path / "file" / "certs"), "")
    folder = tmp_path / "certs"
    (folder / "ca.pem").mkdir(parents=True)
    failed(potoo("certs", *NAMES, "--output", folder), "")
    assert [path.name for path in folder.iterdir()] == ["ca.pem"]


def test_authority_key_has_its_own_folder(potoo: Potoo, tmp_path: Path) -> None:
    folder, authority = tmp_path / "certs", tmp_path / "authority"
    arguments = ("certs", "--output", folder, "--authority", authority, "--name", "potoo.lan")
    assert potoo(*arguments).exit_code == 0
    assert set(contents(folder)) == set(FILES) - {"ca-key.pem"}
    assert set(contents(authority)) == {"ca-key.pem"}
    assert stat.S_IMODE(authority.stat().st_mode) == 0o700
    before = contents(folder)
    assert potoo(*arguments, "--name", "more.potoo.lan").exit_code == 0
    after = contents(folder)
    assert after["ca.pem"] == before["ca.pem"]
    assert after["cert.pem"] != before["cert.pem"]


def test_key_of_the_authority_beside_the_certificate_is_not_overlooked(
    potoo: Potoo, made: Path, tmp_path: Path
) -> None:
    moved = potoo("certs", "--output", made, "--authority", tmp_path / "authority")
    failed(moved, f"move {made / 'ca-key.pem'} to {tmp_path / 'authority' / 'ca-key.pem'}")
