"""A real Envoy with the shipped configuration, free ports and certificates of ``potoo certs``.

Only addresses, ports and paths of the files are changed, in ``elsewhere``.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from service.pki.folder import CertificateFolder
from tests.support.deploy.compose_files import services
from tests.support.proxies.tls import Edge
from tests.support.repository import ROOT
from tests.support.servers.databases import free_port, missing

SHIPPED = ROOT / "deploy" / "envoy"
PROGRAM = Path(sys.executable).parent / "envoy"
START_SECONDS = 60
Address = tuple[str, int]
HSTS = "strict-transport-security"
PORTS = {8080: "redirect", 8443: "https", 9902: "stats"}
"""Addresses on which the shipped file listens."""


@dataclass(frozen=True)
class Envoy:
    """A running Envoy in front of some upstreams. ``authority``: the certificate to trust."""

    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    authority: Path

    @property
    def url(self) -> str:
        """URL of the HTTPS port."""
        return f"https://127.0.0.1:{self.ports['https']}"

    @property
    def edge(self) -> Edge:
        """A probe of the TLS port."""
        return Edge(("127.0.0.1", self.ports["https"]), self.authority)

    @property
    def target(self) -> str:
        """gRPC target with TLS."""
        return f"127.0.0.1:{self.ports['https']}"

    def access_log(self) -> list[dict[str, Any]]:
        """Events of the access log so far."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]

    def log(self) -> str:
        """Envoy's own log."""
        return (self.folder / "envoy.log").read_text()

    def statistics(self) -> str:
        """Statistics as exported for Prometheus."""
        url = f"http://127.0.0.1:{self.ports['stats']}/stats/prometheus"
        return httpx.get(url, timeout=START_SECONDS).raise_for_status().text

    def healthy(self, cluster: str) -> int:
        """Number of replicas that Envoy's health checks consider healthy."""
        name = f'envoy_cluster_membership_healthy{{envoy_cluster_name="{cluster}"}} '
        lines = self.statistics().splitlines()
        return int(next((line.split()[-1] for line in lines if line.startswith(name)), "0"))


@dataclass(frozen=True)
class Acme:
    """Surroundings of an Envoy whose certificate an ACME client gets.

    Attributes:
        client: where it answers challenges.
        certs: folder where it puts certificates.
        authority: file of the certificate to trust.
        ports: of ``PORTS``, where free ones will not do.
    """

    client: Address
    certs: Path
    authority: Path
    ports: dict[str, int] = field(default_factory=dict)


@contextmanager
def envoy(
    http: Sequence[Address],
    grpc: Sequence[Address] = (),
    *,
    wait: bool = True,
    patient: bool = False,
    acme: Acme | None = None,
) -> Iterator[Envoy]:
    """Start Envoy in front of the replicas with these addresses.

    Args:
        wait: until all of them are healthy; otherwise until it listens.
        patient: with long time-outs of probes, for replicas that are threads of a busy test.
        acme: start it as ``compose.acme.yaml`` does, without a certificate.
    """
    if not PROGRAM.exists():
        missing("envoy")
    # Not in pytest's folder: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="potoo-envoy-") as name:
        folder, ports = Path(name), {role: free_port() for role in PORTS.values()}
        options = []
        if acme:
            (folder / "certs").symlink_to(acme.certs)
            ports, authority = ports | acme.ports, acme.authority
            added = yaml.safe_load(services("compose.acme.yaml")["envoy"]["command"][-1])
            changed = elsewhere(added, folder, ports, {8080: [acme.client]})
            options = ["--config-yaml", json.dumps(changed)]
        else:
            (folder / "certs").mkdir()
            authority = certify(folder / "certs")
        for file in ("envoy.yaml", "certificate.yaml"):
            shipped = yaml.safe_load((SHIPPED / file).read_text())
            changed = elsewhere(shipped, folder, ports, {8000: http, 8001: grpc})
            if patient:
                _probe_patiently(changed)
            (folder / file).write_text(json.dumps(changed))
        command = [str(PROGRAM), "-c", str(folder / "envoy.yaml"), "--concurrency", "1"]
        command += ["--disable-hot-restart", "--log-level", "warning", *options]
        with (folder / "envoy.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        running = Envoy(folder, ports, process, authority)
        try:
            _wait(running, {"http": len(http), "grpc": len(grpc)} if wait else {})
            yield running
        finally:
            process.kill()
            process.wait(START_SECONDS)


def elsewhere(
    given: Any, folder: Path, ports: dict[str, int], replicas: dict[int, Sequence[Address]]
) -> Any:
    """A configuration with other listeners, replicas and file paths, otherwise unchanged."""
    if isinstance(given, list):
        return [elsewhere(one, folder, ports, replicas) for one in given]
    if isinstance(given, str):
        return _path(given, folder)
    if not isinstance(given, dict):
        return given
    if "lb_endpoints" in given:
        return {"lb_endpoints": _endpoints(given["lb_endpoints"], folder, replicas)}
    if (port := given.get("port_value")) in PORTS:
        return {"address": "127.0.0.1", "port_value": ports[PORTS[port]]}
    return {name: elsewhere(one, folder, ports, replicas) for name, one in given.items()}


def _probe_patiently(changed: Any) -> None:
    for cluster in changed.get("static_resources", {}).get("clusters", ()):
        for probe in cluster.get("health_checks", ()):
            probe["timeout"] = f"{START_SECONDS}s"


def _endpoints(given: Any, folder: Path, replicas: dict[int, Sequence[Address]]) -> Any:
    """Replace the DNS name of all replicas by their addresses."""
    (endpoint,) = given
    address = endpoint["endpoint"]["address"]
    if "pipe" in address:
        return elsewhere(given, folder, {}, {})
    return [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in replicas[address["socket_address"]["port_value"]]
    ]


def _path(given: str, folder: Path) -> str:
    for place in ("/etc/envoy/", "/run/envoy/"):
        if given.startswith(place):
            return str(folder / given.removeprefix(place))
    return str(folder / "access.log") if given == "/dev/stdout" else given


def certify(folder: Path) -> Path:
    """Create a certificate like ``potoo certs``, renewed at each call; return the CA file."""
    names, now, days = ["localhost", "127.0.0.1"], dt.datetime.now(dt.UTC), 2
    certificates = CertificateFolder(folder)
    certificates.bring_up_to_date(names, now, days=days, renew_before=dt.timedelta(days=days))
    return certificates.ca


def _wait(running: Envoy, wanted: dict[str, int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert running.process.poll() is None, running.log()
        assert time.monotonic() < deadline, running.log()
        try:
            running.statistics()
            if all(running.healthy(cluster) == number for cluster, number in wanted.items()):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
