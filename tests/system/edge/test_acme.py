"""Envoy and its ACME client as ``compose.acme.yaml`` starts them, and a real authority."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.proxies.acme import CHALLENGE_PORT, ENVOYS_GROUP, AcmeClient, authority
from tests.support.proxies.caddy import programs
from tests.support.proxies.envoy import Acme, Envoy, certify, envoy
from tests.support.servers.databases import free_port, missing
from tests.support.waiting import wait_until

REPLICA = ("127.0.0.1", 1)
"""Where no server listens: the tests are about TLS."""


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """The empty folder that Envoy watches."""
    folder = tmp_path / "certs"
    folder.mkdir()
    return folder


def served(proxy: Envoy) -> bytes:
    """The certificate that Envoy serves (DER), verified; empty if it has none."""
    with suppress(OSError):
        return proxy.edge.certificate()
    return b""


def test_envoy_starts_without_a_certificate_and_loads_the_first(certs: Path) -> None:
    acme = Acme(REPLICA, certs, certs / "ca.pem")
    with envoy([REPLICA], [REPLICA], wait=False, acme=acme) as proxy:
        with pytest.raises(OSError, match=r"(?i)reset|eof"):
            ssl.get_server_certificate(proxy.edge.address)
        plain = f"http://127.0.0.1:{proxy.ports['redirect']}"
        assert httpx.get(f"{plain}/.well-known/acme-challenge/a").status_code == 503
        assert httpx.get(f"{plain}/.well-known/other").status_code == 308
        certify(certs)
        assert wait_until(lambda: served(proxy))


@pytest.mark.parametrize("program", programs())
def test_certificate_is_obtained_through_port_80_and_renewed_without_a_restart(
    certs: Path, tmp_path: Path, program: str
) -> None:
    try:
        socket.create_server(("127.0.0.1", CHALLENGE_PORT)).close()
    except OSError:
        missing(f"free port {CHALLENGE_PORT}")
    stats, challenges = free_port(), free_port()
    with authority(tmp_path / "authority", program) as issuer:
        ready = f"http://127.0.0.1:{stats}/stats/prometheus"
        client = AcmeClient(tmp_path / "client", program, issuer, certs, ready, challenges)
        ports = {"redirect": CHALLENGE_PORT, "stats": stats}
        acme = Acme(("127.0.0.1", challenges), certs, issuer.root, ports)
        # In this order: the client waits for Envoy.
        with client.run() as running, envoy([REPLICA], wait=False, acme=acme) as proxy:
            assert wait_until(lambda: served(proxy)), client.log()
            assert "could not get certificate" not in client.log()
            first = served(proxy)
            running.terminate()
            running.wait()
            client.age(days=70)
            with client.run():
                assert wait_until(lambda: served(proxy) not in {b"", first}), client.log()
                assert wait_until(lambda: "certificate renewed successfully" in client.log())

    # Envoy's user can read the pair, and sees nothing else.
    assert sorted(file.name for file in certs.iterdir()) == ["cert.pem", "key.pem"]
    for file in certs.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        if os.geteuid() == 0:
            assert (file.stat().st_uid, file.stat().st_gid) == (0, ENVOYS_GROUP)
