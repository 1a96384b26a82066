"""Runs all checks. A check that itself fails is a finding, not the end."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx

from service.doctor import machine, outside, parts
from service.doctor.findings import Check, Finding, Level, Scene, failed, skipped
from service.settings import Settings

CHECKS: tuple[tuple[str, Check], ...] = (
    ("versions", machine.versions),
    ("site", outside.reachable),
    ("closed paths", outside.closed_paths),
    ("HSTS", outside.strict_transport),
    ("certificate", outside.transport_security),
    ("clock", outside.clock),
    ("database", parts.database),
    ("default model", parts.default_model),
    ("issuers", parts.issuers),
    ("trusted proxies", parts.proxies),
    ("targets", parts.targets),
    ("data folder", machine.permissions),
    ("disk", machine.disk),
    ("memory", machine.memory),
    ("backup", machine.backups),
    ("telemetry", machine.telemetry),
)
OF_THE_FOLDER = frozenset(
    {"database", "default model", "issuers", "trusted proxies", "data folder", "disk", "memory"}
)
"""Checks of a server on this machine: skipped on another one, which has only the site."""
EXIT_STATUS = {Level.OK: 0, Level.SKIPPED: 0, Level.WARNING: 1, Level.FAILED: 2}


def examine(
    settings: Settings,
    *,
    site: str | None = None,
    prometheus: str | None = None,
    backups: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Run the checks in order.

    Args:
        site: address of the server from outside, such as ``https://cam.example.org``.
        prometheus: address of Prometheus.
        backups: folder of backups.
        clock: seconds since the epoch.
    """
    # The authorities of this machine, or those of SSL_CERT_FILE.
    trusted = ssl.create_default_context()
    with ExitStack() as stack:

        def client(address: str | None) -> httpx.Client | None:
            if address is None:
                return None
            return stack.enter_context(
                httpx.Client(base_url=address, timeout=outside.TIMEOUT_SECONDS, verify=trusted)
            )

        scene = Scene(
            settings=settings,
            site=client(site),
            address=site or "",
            prometheus=client(prometheus),
            backups=backups,
            clock=clock,
        )
        is_elsewhere = site is not None and not settings.data_dir.exists()
        for name, check in CHECKS:
            if is_elsewhere and name in OF_THE_FOLDER:
                yield skipped(name, f"there is no data folder {settings.data_dir} here")
                continue
            try:
                yield from check(scene)
            except Exception as error:  # noqa: BLE001 - the other checks must still run
                line = " ".join(str(error).split()) or type(error).__name__
                yield failed(
                    name, f"the check failed: {line}", "mend what it names, then run again"
                )


def exit_status(findings: list[Finding]) -> int:
    """Return 0 if all is well, 1 if there are warnings, 2 if something failed."""
    return max((EXIT_STATUS[one.level] for one in findings), default=0)
