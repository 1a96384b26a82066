"""Storage of the results and events of sensors, for as long as the settings say."""

from __future__ import annotations

from auth.store.database import Database
from service.coordination.kept_events import Retention
from service.sensors.store.events import EventStore
from service.sensors.store.results import ResultStore
from service.settings.sensors import SensorSettings

DAY_SECONDS = 86_400


def event_store(given: SensorSettings, database: Database) -> EventStore:
    """Return the kept events."""
    return EventStore(database, Retention(given.events_days * DAY_SECONDS, given.events_max))


def result_store(given: SensorSettings, database: Database) -> ResultStore:
    """Return the kept answers."""
    return ResultStore(database, Retention(given.results_days * DAY_SECONDS, given.results_max))
