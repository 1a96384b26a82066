"""Build the parts of sensors; part of the composition in ``service/runtime/runtime.py``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import Unsupported
from schemas.manifest.series import SeriesSpec
from schemas.sensors import SensorEvent, SensorSpec
from service.coordination.feed import EventFeed
from service.core.serving.classifier import Classifier
from service.sensors.administration import Check, SensorAdministration
from service.sensors.answer_feed import AnswerFeed
from service.sensors.directory import Directory
from service.sensors.fitting import check_fit, unfit
from service.sensors.ingest.intake import Limits, SampleIntake
from service.sensors.ingest.models import CoreModels
from service.sensors.reporting import Reporter
from service.sensors.store.channels import ChannelStore
from service.sensors.store.events import EventStore
from service.sensors.store.kept import event_store, result_store
from service.sensors.store.pruning import Pruner
from service.sensors.store.reports import ReportStore
from service.sensors.store.results import ResultStore
from service.settings import Settings

YOUNG_OBJECTS = 10_000
"""New objects between two collections of garbage that is in cycles; 700 by default.

Windows under way are such objects, freed without a collection. By default two thousand windows a
second cause sixty collections, each of which stops the event loop to visit them.
"""


class SeriesModels(Protocol):
    """The models as sensors need them; ``Classifier`` implements it."""

    def series_spec(self, model: str) -> SeriesSpec:
        """Return the shape of the windows that a model takes.

        Raises:
            ModelNotFound, NotReady: there is no such model, or it is not loaded.
            Unsupported: the model takes no windows, or gives no labels.
        """


@dataclass(frozen=True, slots=True)
class Sensors:
    """The objects of sensors that routes, transports and outputs use."""

    intake: SampleIntake
    directory: Directory
    administration: SensorAdministration
    results: ResultStore
    answers: AnswerFeed
    events: EventStore
    feed: EventFeed[SensorEvent]


def model_check(models: SeriesModels) -> Check:
    """Return a check of configurations against the models that are served."""

    def check(spec: SensorSpec) -> None:
        try:
            series = models.series_spec(spec.model)
        except Unsupported as reason:
            raise unfit(spec.model, reason) from None
        check_fit(spec, series)

    return check


@asynccontextmanager
async def open_sensors(
    settings: Settings,
    database: Database,
    audit: Audit,
    metrics: Metrics,
    classifier: Classifier,
) -> AsyncIterator[Sensors]:
    """Receive the samples of the sensors until the ``with`` block ends.

    Raises:
        Conflict: the configuration defines more sensors than the server may have.
    """
    given = settings.sensors
    events, results = event_store(given, database), result_store(given, database)
    feed, reports = EventFeed(events), ReportStore(database)
    pruner = Pruner(results, settings.sensors.results_max)
    answers = AnswerFeed(results, has_holes=database.dialect != "sqlite")

    def on_stored(number: int) -> None:
        if number:
            pruner.note(number)
            answers.announce()

    store = ChannelStore(database, events, on_stored=on_stored)

    def announce(event: SensorEvent) -> None:
        metrics.sensors.count_event(event.kind)
        feed.announce(event.id)

    limits = Limits(
        channels=given.max_connections,
        channel_bytes=given.channel_bytes,
        buffer_bytes=given.buffer_bytes,
        idle_seconds=given.idle_seconds,
    )
    intake = SampleIntake(store, CoreModels(classifier), metrics.sensors, limits, on_event=announce)

    def follow_change() -> None:
        intake.nudge()
        feed.wake()  # a stream of events ends with its sensor

    administration = SensorAdministration(
        store,
        audit,
        model_check(classifier),
        most=given.max_sensors,
        on_change=follow_change,
    )
    await administration.configure(given.definitions)
    async with AsyncExitStack() as stack:
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
        stack.push_async_callback(feed.close)
        reporter = Reporter(intake.tracker, reports)
        for work in (pruner.run(), events.keep_bounded(), reporter.run()):
            stack.push_async_callback(_stop, asyncio.create_task(work))
        stack.push_async_callback(intake.close)
        intake.start()
        yield Sensors(
            intake=intake,
            directory=Directory(store, results, reports, intake.tracker),
            administration=administration,
            results=results,
            answers=answers,
            events=events,
            feed=feed,
        )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
