"""Checks of the site from outside, as a stranger sees it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from service.doctor.findings import Finding, Scene, failed, ok, skipped, warning

CLOSED = ("/metrics", "/v1/admin/users", "/v1/admin/clients")
"""As the shipped edges close them: docs/operating/tls.md."""
HSTS_SECONDS = 180 * 86_400
"""Least useful ``max-age``."""
RENEW_DAYS, ALARM_DAYS = 21, 7
SKEW_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
_NO_SITE = "no --site was given"


def reachable(scene: Scene) -> Iterator[Finding]:
    """Look whether the site is ready."""
    if scene.site is None:
        yield skipped("site", _NO_SITE)
        return
    try:
        answer = scene.site.get("/readyz")
    except httpx.HTTPError as error:
        yield failed("site", _line(error), "docs/runbooks/PotooDown.md; check DNS, the edge, ports")
        return
    if answer.status_code == 200:
        yield ok("site", "/readyz answers 200")
    else:
        yield failed("site", f"/readyz answers {answer.status_code}", "read the server's log")


def closed_paths(scene: Scene) -> Iterator[Finding]:
    """Look whether paths for operators are closed to strangers."""
    if scene.site is None:
        yield skipped("closed paths", _NO_SITE)
        return
    for path in CLOSED:
        try:
            status = scene.site.get(path).status_code
        except httpx.HTTPError as error:
            yield skipped("closed paths", f"{path}: {_line(error)}")
            continue
        if status in {403, 404}:
            yield ok("closed paths", f"{path} answers {status}")
        elif status in {301, 302, 307, 308}:
            yield skipped("closed paths", f"{path} redirects: give the address that answers")
        elif status == 401:
            yield warning(
                "closed paths",
                f"{path} asks for a token: it reaches the server",
                "close it at the edge, as deploy/caddy and deploy/envoy do",
            )
        else:
            yield failed(
                "closed paths",
                f"{path} answers {status}",
                "close it at the edge: docs/operating/tls.md",
            )


def strict_transport(scene: Scene) -> Iterator[Finding]:
    """Look whether browsers are told to use TLS only."""
    if scene.site is None or not scene.address.startswith("https://"):
        yield skipped("HSTS", _NO_SITE if scene.site is None else "the site has no TLS")
        return
    try:
        header = scene.site.get("/healthz").headers.get("strict-transport-security", "")
    except httpx.HTTPError as error:
        yield skipped("HSTS", _line(error))
        return
    age = _max_age(header)
    if age >= HSTS_SECONDS:
        yield ok("HSTS", f"max-age is {age // 86_400} days")
    else:
        yield failed(
            "HSTS",
            f"max-age is {age} seconds" if header else "the header is missing",
            "let the edge add Strict-Transport-Security with a max-age of half a year or more",
        )


def transport_security(scene: Scene) -> Iterator[Finding]:
    """Look whether the site has TLS at all, and how long its certificate is valid."""
    parts = urlsplit(scene.address)
    if scene.site is None:
        yield skipped("certificate", _NO_SITE)
        return
    if parts.scheme != "https":
        yield warning("certificate", "the site has no TLS", "put Caddy or Envoy before it")
        return
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection(
                (parts.hostname or "", parts.port or 443), TIMEOUT_SECONDS
            ) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            end = ssl.cert_time_to_seconds(str((secure.getpeercert() or {})["notAfter"]))
    except (OSError, KeyError) as error:
        yield failed(
            "certificate",
            _line(error),
            "docs/runbooks/PotooCertificateExpiresNow.md; or set SSL_CERT_FILE",
        )
        return
    days = (end - scene.clock()) / 86_400
    seen = f"valid for {days:.0f} days, until {datetime.fromtimestamp(end, UTC):%Y-%m-%d}"
    mend = "see why it was not renewed: docs/operating/tls.md"
    if days < ALARM_DAYS:
        yield failed("certificate", seen, mend)
    elif days < RENEW_DAYS:
        yield warning("certificate", seen, mend)
    else:
        yield ok("certificate", seen)


def clock(scene: Scene) -> Iterator[Finding]:
    """Compare the clock of the site with this machine's."""
    if scene.site is None:
        yield skipped("clock", _NO_SITE)
        return
    try:
        before = scene.clock()
        date = scene.site.get("/healthz").headers["date"]
        after = scene.clock()
        told = parsedate_to_datetime(date).timestamp()
    except (httpx.HTTPError, KeyError, ValueError) as error:
        yield skipped("clock", f"the site tells no time: {_line(error)}")
        return
    # The header has whole seconds.
    skew = max(before - (told + 1), told - after, 0.0)
    if skew > SKEW_SECONDS:
        yield failed(
            "clock",
            f"the clocks differ by {skew:.0f} seconds",
            "run chrony or systemd-timesyncd on both",
        )
    else:
        yield ok("clock", "the clocks agree")


def _max_age(header: str) -> int:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "max-age" and value.strip('"').isdecimal():
            return int(value.strip('"'))
    return 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
