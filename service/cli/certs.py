"""``potoo certs``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from service.cli.shared.options import plain_errors

NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        help="Host name or address that clients connect to; repeatable.",
        show_default="those of the present certificate",
    ),
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")]
AuthorityOption = Annotated[
    Path | None,
    typer.Option(
        "--authority",
        help="Folder for the authority's key, where no server reads it.",
        show_default="the same as --output",
    ),
]
DaysOption = Annotated[
    int,
    typer.Option("--days", min=1, max=397, help="Validity of the server's certificate in days."),
]
RenewOption = Annotated[
    int,
    typer.Option(
        "--renew-before", min=0, max=396, help="Renew it this many days before it expires."
    ),
]
CheckOption = Annotated[
    bool,
    typer.Option(
        "--check", help="Write nothing; exit status 1 if a renewal is due or a file is bad."
    ),
]
INSTALL = """
Clients must trust the authority (not the certificate, which changes):
  curl --cacert {ca} https://{name}/healthz
  Debian, Ubuntu: cp {ca} /usr/local/share/ca-certificates/potoo.crt && update-ca-certificates
  iPhone, iPad: send it ca.pem, install the profile, then switch it on under
    Settings > General > About > Certificate Trust Settings
  Android: Settings > Security > Encryption & credentials > Install a certificate > CA certificate
  Windows, macOS, Firefox: import ca.pem among the trusted root authorities
Compare the fingerprint above with what the device shows.

Anyone with {ca_key} can impersonate your server: store it elsewhere if you can. Only
renewals need it."""


def certs(
    names: NamesOption = None,
    output: OutputOption = Path("certs"),
    authority: AuthorityOption = None,
    days: DaysOption = 397,
    renew_before: RenewOption = 30,
    check: CheckOption = False,
) -> None:
    """Create a certificate authority (CA) and a server certificate for a private network.

    For Envoy or the gRPC port, where no public CA issues certificates.
    Clients trust ca.pem; the server uses cert.pem and key.pem
    (grpc_tls_cert, grpc_tls_key); renewals need ca-key.pem.

    Run it daily: it replaces cert.pem when it expires within --renew-before
    days or --name has changed, and otherwise does nothing. It never
    replaces the CA.

    Exit status 0: the certificate is valid, renewed or not. 1: it is not.
    """
    with plain_errors():
        from service.pki.folder import CertificateFolder
        from service.pki.issuing import fingerprint, names_in
        from service.pki.names import shown

        folder, now = CertificateFolder(output, authority), datetime.now(UTC)
        given, margin = names or [], timedelta(days=min(renew_before, days - 1))
        if check:
            found = folder.check(given, now, renew_before=margin)
        else:
            found = folder.bring_up_to_date(given, now, days=days, renew_before=margin)
        served = [shown(name) for name in names_in(found.certificate)]
        for what, file, certificate in (
            ("authority", folder.ca, found.authority),
            ("certificate", folder.cert, found.certificate),
        ):
            end = certificate.not_valid_after_utc
            typer.echo(f"{what}\t{file}\tuntil {end:%Y-%m-%d}\tSHA-256 {fingerprint(certificate)}")
        typer.echo(f"for\t{', '.join(served)}")
        new = ", ".join(map(str, found.written))
        typer.echo(f"written\t{new}" if new else "written\tnothing: everything is valid")
        if folder.ca in found.written:
            host = f"[{served[0]}]" if ":" in served[0] else served[0]
            typer.echo(INSTALL.format(ca=folder.ca, ca_key=folder.ca_key, name=host))
