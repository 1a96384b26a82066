"""A process that delivers the events of an SQLite store to a webhook, to be killed.

``python -m tests.support.results.deliverer FILE URL``
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from auth.store.database import database_url, open_database
from observability.metrics.metrics import Metrics
from service.cameras.results.opening import open_results
from service.cameras.store.events import EventStore
from service.coordination.cursors import CursorStore
from service.coordination.feed import EventFeed
from service.coordination.kept_events import Retention
from service.coordination.leases import FileLeases
from service.settings.results import MqttSettings, WebhookSettings
from tests.support.results.fakes import FakeCameras

SECRET = SecretStr("a secret of sixteen characters or more")
FOREVER = Retention(seconds=float("inf"), count=10**9)


class _Settings:
    def __init__(self, url: str) -> None:
        self.mqtt = MqttSettings()
        self.webhooks = WebhookSettings(urls=(SecretStr(url),), secret=SECRET)


async def deliver(file: Path, url: str) -> None:
    """Deliver until the process is killed."""
    async with open_database(database_url(None, file)) as database:
        feed = EventFeed(EventStore(database, FOREVER))
        leases = FileLeases(file.parent / "leases")
        cursors = CursorStore(database)
        async with open_results(_Settings(url), feed, FakeCameras(), cursors, leases, Metrics()):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(deliver(Path(sys.argv[1]), sys.argv[2]))
