"""Certificates of ``potoo certs`` in real servers: Potoo's gRPC port, and Caddy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.support.proxies.caddy import caddy, programs
from tests.support.proxies.tls import GOOD, Edge, is_modern
from tests.support.servers.server import serve
from tests.support.waiting import wait_until


def certs(folder: Path, *options: str) -> str:
    """Run the command and return its output."""
    done = CliRunner().invoke(app, ["certs", "--output", str(folder), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "certs"
    names = ("--name", "localhost", "--name", "127.0.0.1")
    certs(made, *names, "--days", "20", "--renew-before", "1")
    return made


def test_grpc_uses_the_certificates_and_picks_up_renewed_ones(
    folder: Path, tmp_path: Path, colours: Path
) -> None:
    with serve(
        tmp_path,
        models=colours,
        POTOO_GRPC_PORT="0",
        POTOO_GRPC_TLS_CERT=str(folder / "cert.pem"),
        POTOO_GRPC_TLS_KEY=str(folder / "key.pem"),
    ) as server:
        port = int(server.grpc.rpartition(":")[2])
        edge = Edge(("127.0.0.1", port), folder / "ca.pem")
        assert edge.versions() == GOOD
        assert all(map(is_modern, edge.ciphers()))
        with edge.channel() as channel:
            assert edge.rpc(channel).ask("Check", b"").status == 1
        old = edge.certificate()
        assert str(folder / "cert.pem") in certs(folder, "--renew-before", "25")
        assert wait_until(lambda: edge.certificate() != old)
        with edge.channel() as channel:
            assert edge.rpc(channel).ask("Check", b"").status == 1


@pytest.mark.parametrize("program", programs())
def test_caddy_serves_the_generated_certificate(folder: Path, tmp_path: Path, program: str) -> None:
    pair = f"{folder / 'cert.pem'} {folder / 'key.pem'}"
    site = {"POTOO_TLS": pair, "POTOO_SITE": "localhost, 127.0.0.1"}
    with caddy(tmp_path, program, ca=folder / "ca.pem", **site) as front:
        for name in ("localhost", "127.0.0.1"):
            edge = replace(front.edge, name=name)
            assert edge.versions() == GOOD
            assert edge.get("/metrics").status == 404
