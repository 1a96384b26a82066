"""Checks of the server's parts: database, issuers, settings, the default model, Prometheus."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
from sqlalchemy import URL

from auth.store.database import HEAD
from service.doctor.findings import Finding, Scene, failed, ok, skipped, warning
from service.runtime.identity import STORE_FILE, store_url

TIMEOUT_SECONDS = 5.0
WIDE_PREFIX = {4: 8, 6: 16}
"""Networks of trusted proxies that are wider than these hold strangers."""


def database(scene: Scene) -> Iterator[Finding]:
    """Look whether the database answers, with the tables of this version; nothing is changed."""
    try:
        # ``store_url`` would create the file of the embedded database.
        is_embedded = scene.settings.database_url is None
        url = None if is_embedded else store_url(scene.settings)
        if url is None or url.get_backend_name() == "sqlite":
            file = scene.settings.data_dir / STORE_FILE
            revision = _sqlite_revision(Path(url.database or "") if url else file)
        else:
            revision = asyncio.run(_postgresql_revision(url))
    except Exception as error:  # noqa: BLE001 - of drivers and of the network
        yield failed("database", _line(error), "docs/runbooks/PotooStoreFails.md")
        return
    if revision == HEAD:
        yield ok("database", f"it answers; its tables have the revision {HEAD}")
    elif revision is None:
        yield warning("database", "it has no tables yet", "start the server once")
    elif revision < HEAD:
        yield warning("database", f"its revision is {revision}, not {HEAD}", "start this version")
    else:
        mend = "use the later version of Potoo that changed it, or restore a backup"
        yield failed("database", f"its revision {revision} is later than {HEAD}", mend)


def issuers(scene: Scene) -> Iterator[Finding]:
    """Look whether trusted issuers of tokens answer."""
    if not scene.settings.auth.issuers:
        yield skipped("issuers", "none is configured")
    for one in scene.settings.auth.issuers:
        base = one.issuer.rstrip("/")
        url = one.jwks_url or f"{base}/.well-known/openid-configuration"
        try:
            status = httpx.get(url, timeout=TIMEOUT_SECONDS).status_code
        except httpx.HTTPError as error:
            yield failed("issuers", f"{one.name}: {_line(error)}", "docs/operating/issuers.md")
            continue
        if status == 200:
            yield ok("issuers", f"{one.name} answers")
        else:
            mend = "check its address: docs/operating/issuers.md"
            yield failed("issuers", f"{one.name} answers {status}", mend)


def proxies(scene: Scene) -> Iterator[Finding]:
    """Look whether the trusted proxies are only proxies, and whether an edge is among them."""
    networks = scene.settings.trusted_proxies
    wide = [one for one in networks if one.prefixlen < WIDE_PREFIX[one.version]]
    if wide:
        names = ", ".join(map(str, wide))
        mend = "list the proxies: whoever is in such a network chooses the address that is limited"
        yield failed("trusted proxies", f"{names} holds strangers", mend)
    elif scene.address.startswith("https://") and not networks:
        mend = "set trusted_proxies to the address of the edge: docs/operating/operator.md"
        yield warning("trusted proxies", "none, though there is an edge", mend)
    else:
        yield ok("trusted proxies", ", ".join(map(str, networks)) or "none")


def default_model(scene: Scene) -> Iterator[Finding]:
    """Load the default version of the default model, with its golden samples."""
    from observability.metrics.metrics import Metrics
    from service.runtime.runtime import open_models, open_pool

    async def load() -> str | None:
        metrics = Metrics()
        with open_pool(scene.settings) as pool:
            async with open_models(scene.settings, pool, metrics) as lifecycle:
                return lifecycle.default_model

    try:
        name = asyncio.run(load())
    except Exception as error:  # noqa: BLE001 - whatever an engine raises
        yield failed("default model", _line(error), "potoo models verify; docs/models.md")
        return
    if name is None:
        mend = "potoo models default NAME: requests that name no model are refused"
        yield warning("default model", "there is none", mend)
    else:
        yield ok("default model", f"{name} loads and answers")


def targets(scene: Scene) -> Iterator[Finding]:
    """Ask Prometheus which targets are down."""
    if scene.prometheus is None:
        yield skipped("targets", "no --prometheus was given")
        return
    try:
        answer = scene.prometheus.get("/api/v1/targets", params={"state": "active"})
        found = answer.raise_for_status().json()["data"]["activeTargets"]
        down = sorted(str(one["labels"]["instance"]) for one in found if one["health"] != "up")
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        yield failed("targets", f"Prometheus: {_line(error)}", "docs/operating/monitoring.md")
        return
    if down or not found:
        seen = f"down: {', '.join(down)}" if down else "there are none"
        yield failed("targets", seen, "docs/operating/monitoring.md")
    else:
        yield ok("targets", f"all {len(found)} are up")


def _sqlite_revision(file: Path) -> str | None:
    if not file.exists() or not file.stat().st_size:
        return None
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return str(row[0]) if row else None


async def _postgresql_revision(url: URL) -> str | None:
    import asyncpg

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(address.replace("ssl=", "sslmode="), timeout=TIMEOUT_SECONDS)
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
