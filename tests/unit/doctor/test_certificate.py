"""The doctor's look at the certificate of a site, over TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from service.doctor.findings import Level, Scene
from service.doctor.outside import transport_security
from service.settings import load_settings
from tests.support.proxies.certificates import self_signed


@contextmanager
def site(folder: Path, days: int) -> Iterator[Scene]:
    """A listener that only shakes hands, with a certificate valid for so many days."""
    self_signed(folder, "potoo", days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener, httpx.Client() as client:

        def shake_hands() -> None:
            with listener.accept()[0] as plain, suppress(OSError):
                context.wrap_socket(plain, server_side=True).close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        address = f"https://localhost:{listener.getsockname()[1]}"
        settings = load_settings(data_dir=folder)
        yield Scene(settings, client, address, None, None, time.time)
        thread.join()


@pytest.mark.parametrize(
    ("days", "level", "seen"),
    [
        (60, Level.OK, "valid for 60 days"),
        (14, Level.WARNING, "valid for 14 days"),
        (3, Level.FAILED, "valid for 3 days"),
        (0, Level.FAILED, "expired"),
    ],
)
def test_days_that_a_certificate_is_valid_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, level: Level, seen: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with site(tmp_path, days) as scene:
        (found,) = transport_security(scene)
    assert found.level is level
    assert seen in found.seen


def test_certificate_of_an_unknown_authority_is_a_fault(tmp_path: Path) -> None:
    with site(tmp_path, 60) as scene:
        (found,) = transport_security(scene)
    assert found.level is Level.FAILED
    assert "SSL_CERT_FILE" in found.mend
