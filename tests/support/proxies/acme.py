"""An authority that speaks ACME, and the client of ``compose.acme.yaml``: both are Caddy."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.pki.folder import CertificateFolder
from tests.support.deploy.compose_files import services
from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.servers.databases import free_port, missing
from tests.support.waiting import PATIENCE, wait_until

CHALLENGE_PORT = 80
"""Where the authority asks, as all of them do."""
ENVOYS_GROUP = 101
CADDYFILE = """
{{
	admin off
	http_port {plain}
	https_port {port}
	auto_https disable_redirects
	skip_install_trust
}}
https://localhost:{port} {{
	tls internal
	acme_server
}}
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A running authority.

    Attributes:
        directory: URL where its clients start.
        root: file of the certificate to trust, for its own HTTPS too.
    """

    directory: str
    root: Path


@contextmanager
def authority(folder: Path, program: str) -> Iterator[Authority]:
    """Run Caddy as an ACME server, in a new folder."""
    if not program:
        missing("caddy")
    folder.mkdir()
    port, file = free_port(), folder / "Caddyfile"
    file.write_text(CADDYFILE.format(port=port, plain=free_port()))
    command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    with _running(command, folder):
        assert wait_until(lambda: any(folder.glob("caddy/certificates/*/*/*.json")))
        root = folder / "caddy/pki/authorities/local/root.crt"
        yield Authority(f"https://localhost:{port}/acme/local/directory", root)


@dataclass(frozen=True, slots=True)
class AcmeClient:
    """The service ``acme`` of compose, on this machine.

    Attributes:
        folder: its own one, which it finds again when it starts again.
        certs: where Envoy looks for certificates.
        ready: URL that answers once Envoy forwards challenges.
        port: where Envoy forwards them to.
    """

    folder: Path
    program: str
    authority: Authority
    certs: Path
    ready: str
    port: int

    @contextmanager
    def run(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command of compose, with other places, as Envoy's group if this is root."""
        if not shutil.which("wget"):
            missing("wget")
        service = services("compose.acme.yaml")["acme"]
        settings = {
            "POTOO_SITE": "localhost",
            "POTOO_TLS": "operator@example.org",
            "POTOO_ACME_CA": self.authority.directory,
        }
        assert settings.keys() == service["environment"].keys()
        programs = self.folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "caddy").unlink(missing_ok=True)
        (programs / "caddy").symlink_to(self.program)
        settings |= {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SSL_CERT_FILE": str(self.authority.root),
            "POTOO_HTTP_PORT": str(self.port),
            "POTOO_HTTPS_PORT": str(free_port()),
        }
        account = {"group": ENVOYS_GROUP, "extra_groups": ()} if os.geteuid() == 0 else {}
        command = [self._here(word) for word in service["command"]]
        with _running(command, self.folder, account, **settings) as process:
            yield process

    def log(self) -> str:
        """Return its log."""
        return (self.folder / "log").read_text()

    def age(self, days: int) -> None:
        """Replace the certificate that it stored by one of 90 days that is ``days`` old."""
        (stored,) = self.folder.glob("*/caddy/certificates/*/localhost/localhost.crt")
        old = CertificateFolder(self.folder / "old")
        made = dt.datetime.now(dt.UTC) - dt.timedelta(days)
        old.bring_up_to_date(["localhost"], made, days=90, renew_before=dt.timedelta())
        shutil.copy(old.cert, stored)
        shutil.copy(old.key, stored.with_suffix(".key"))

    def _here(self, word: str) -> str:
        places = {
            "/data": str(self.folder),
            "/certs": str(self.certs),
            "http://envoy:9902/stats/prometheus": self.ready,
        }
        return places.get(word, word.replace("/etc/acme", str(ROOT / "deploy/acme")))


@contextmanager
def _running(
    command: Sequence[str],
    folder: Path,
    account: dict[str, Any] | None = None,
    **settings: str,
) -> Iterator[subprocess.Popen[bytes]]:
    places = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    environment = clean_environment(**places, **settings)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, **(account or {})
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
