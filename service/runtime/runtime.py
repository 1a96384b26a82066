"""Composition root: build the objects of the server, and stop them in mirror order.

``open_runtime`` calls two builders: ``identity.py`` for accounts and tokens, and
``core/lifecycle/loading.py`` for the engine of each model version. Commands open parts of it, with
``open_identity``, ``open_classifier`` or ``open_models``. ``create_app`` wires them to routes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from auth.store.database import Database
from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import ErrorCode
from service import __version__
from service.cameras.opening import Cameras, open_cameras
from service.cameras.results.opening import open_results
from service.core.drift.recorder import DriftRecorder
from service.core.engine.pool import WorkerPool
from service.core.engine.shared_base import SharedBases
from service.core.lifecycle.lifecycle import Lifecycle
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.lifecycle.model_control import ModelControl
from service.core.repository.repository import Repository
from service.core.rollout.rollouts import LabelledAnswers, Rollouts
from service.core.serving.calibration import find_calibration
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.serving.observing import AnswerObserver
from service.core.serving.trials import Trials
from service.federation.on_demand import FederationsOnDemand
from service.parameters.on_demand import ParametersOnDemand
from service.preprocess.preprocessing import Preprocessing
from service.runtime.identity import Identity, keep_fresh, open_identity
from service.runtime.process import give_memory_back
from service.runtime.shutdown import Shutdown
from service.sensors.on_demand import SensorsOnDemand, sensors_on_demand
from service.settings import Settings
from service.teach.on_demand import TeachOnDemand, teach_on_demand
from service.transport.budget import BodyBudget

if TYPE_CHECKING:
    from service.teach.keeping.keeper import Keeper

CANARY_TIMEOUT = 10.0
DRIFT_SECONDS = 15.0
"""Between updates of the metrics of drift."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The objects that transports use."""

    pool: WorkerPool
    classifier: Classifier
    identity: Identity
    models: ModelControl
    budget: BodyBudget
    cameras: Cameras
    sensors: SensorsOnDemand
    preprocessing: Preprocessing
    teach: TeachOnDemand
    federations: FederationsOnDemand
    parameters: ParametersOnDemand
    rollouts: Rollouts
    drift: DriftRecorder | None
    keeper: Keeper | None
    shutdown: Shutdown = field(default_factory=Shutdown)

    @property
    def is_ready(self) -> bool:
        """Whether all models are warm and passed their last canary, and tokens can be checked.

        Always false once shutdown is announced.
        """
        if self.shutdown.is_announced:
            return False
        return self.identity.is_ready and all(self.classifier.readiness().values())


@asynccontextmanager
async def open_runtime(settings: Settings, metrics: Metrics) -> AsyncIterator[Runtime]:
    """Load and warm up the models, open the store; drain and close on exit.

    Raises:
        ModelRefused, UnsafeKey, SettingsError: with a message for the operator.
        NotReady: if the store does not answer.
    """
    metrics.build_info.labels(__version__, settings.inference.resizer).set(1)
    metrics.preset_errors(ErrorCode)
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(open_identity(settings, metrics))
        await stack.enter_async_context(keep_fresh(identity, settings, metrics))
        pool = stack.enter_context(open_pool(settings))
        lifecycle = await stack.enter_async_context(open_models(settings, pool, metrics))
        lifecycle.log_failures()
        rollouts = Rollouts(
            lifecycle.registry, metrics.rollouts, is_busy=lambda: not pool.has_one_job
        )
        stack.push_async_callback(rollouts.close)
        drift = _drift(settings, lifecycle, metrics)
        keeper = _keeper(settings, metrics)
        observers = [one for one in (drift, keeper) if one is not None]
        classifier = _classifier(settings, lifecycle, rollouts, observers)
        watch = asyncio.create_task(
            classifier.watch(
                interval=settings.inference.canary_interval_seconds, timeout=CANARY_TIMEOUT
            )
        )
        stack.push_async_callback(_stop, watch)
        if drift is not None:
            measuring = asyncio.create_task(_measure(drift))
            stack.push_async_callback(_stop, measuring)
        if settings.models_poll_seconds:
            watcher = asyncio.create_task(lifecycle.watch(settings.models_poll_seconds))
            stack.push_async_callback(_stop, watcher)
        cameras = await stack.enter_async_context(
            open_cameras(settings, identity.database, identity.audit, metrics, pool, classifier)
        )
        stores = cameras.feed, cameras.reported, cameras.cursors, cameras.leases
        await stack.enter_async_context(open_results(settings, *stores, metrics))
        sensors = await stack.enter_async_context(
            sensors_on_demand(settings, identity.database, identity.audit, metrics, classifier)
        )
        if settings.sensors.mqtt:
            from service.sensors.mqtt.opening import open_sensor_mqtt

            shared = cameras.cursors, cameras.leases, metrics
            receiving = open_sensor_mqtt(settings, await sensors.get(), classifier, *shared)
            await stack.enter_async_context(receiving)
        models = ModelControl(lifecycle, identity.audit)
        judging = asyncio.create_task(rollouts.watch(models, _labelled_answers(identity.database)))
        stack.push_async_callback(_stop, judging)
        teach = await stack.enter_async_context(
            teach_on_demand(
                settings,
                identity.database,
                identity.audit,
                metrics,
                pool,
                models,
                cameras.leases,
                lambda: lifecycle.default_model,
            )
        )
        if keeper is not None:
            keeping = asyncio.create_task(keeper.run(lambda: teach.datasets))
            stack.push_async_callback(_stop, keeping)
        yield Runtime(
            pool=pool,
            classifier=classifier,
            identity=identity,
            models=models,
            budget=BodyBudget(settings.limits.max_body_bytes_in_flight, metrics),
            cameras=cameras,
            sensors=sensors,
            preprocessing=Preprocessing(settings.preprocess, classifier, pool, metrics.preprocess),
            teach=teach,
            federations=FederationsOnDemand(
                settings, models, identity.audit, lambda: lifecycle.default_model
            ),
            parameters=ParametersOnDemand(settings, identity.audit),
            rollouts=rollouts,
            drift=drift,
            keeper=keeper,
        )


@asynccontextmanager
async def open_classifier(
    settings: Settings, pool: WorkerPool, metrics: Metrics
) -> AsyncIterator[Classifier]:
    """Open only the core, without accounts, to classify on the command line.

    Raises:
        ModelRefused: with a message for the operator.
    """
    async with open_models(settings, pool, metrics) as lifecycle:
        yield _classifier(settings, lifecycle)


@asynccontextmanager
async def open_models(
    settings: Settings, pool: WorkerPool, metrics: Metrics
) -> AsyncIterator[Lifecycle]:
    """Load the models that their policies request; drain and free them on exit.

    Raises:
        ModelRefused: with a message for the operator.
    """
    load = model_loader(settings, pool, metrics)
    repository = Repository(settings.models)
    lifecycle = Lifecycle(repository, load, metrics, after_release=give_memory_back)
    try:
        await lifecycle.start(settings.default_model)
        for name in sorted(settings.inference.models.keys() - set(lifecycle.registry.names())):
            get_logger("models").warning("settings for an unknown model", model=name)
        yield lifecycle
    finally:
        await lifecycle.close()


def model_loader(settings: Settings, pool: WorkerPool, metrics: Metrics) -> Callable[[Path], Model]:
    """Return a function that loads the version in a folder, or raises ``ModelRefused``."""
    inference, found = settings.inference, find_calibration(settings.data_dir)
    bases = SharedBases()

    def load(folder: Path) -> Model:
        calibrated = found.run_settings(folder) if found else None
        run = inference.of(folder.parent.name, calibrated)
        limits = settings.limits.of_images
        options = ModelOptions(
            limits, run, inference.resizer, repository=settings.models, bases=bases
        )
        return load_model(folder, pool, options, metrics)

    return load


@contextmanager
def open_pool(settings: Settings) -> Iterator[WorkerPool]:
    """Start the worker threads; finish queued work on exit."""
    found = find_calibration(settings.data_dir)
    threads = settings.inference.threads(found.workers if found else None)
    pool = WorkerPool("potoo-worker", threads)
    try:
        yield pool
    finally:
        pool.close()


def _labelled_answers(database: Database) -> LabelledAnswers:
    """Return what counts answers that people labelled; datasets are imported when it is called."""

    async def count(model: str, version: int, since: float) -> tuple[int, int]:
        from service.teach.datasets.store.answers import count_labelled

        return await count_labelled(database, model, version, since)

    return count


def _drift(settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> DriftRecorder | None:
    wanted = settings.drift
    if not wanted.enabled:
        return None
    return DriftRecorder(
        lifecycle.registry,
        settings.models,
        metrics.drift,
        window_seconds=wanted.window_seconds,
        min_answers=wanted.min_answers,
        reference_answers=wanted.reference_answers,
    )


def _keeper(settings: Settings, metrics: Metrics) -> Keeper | None:
    """Return what keeps photos; without rules, its modules are not imported."""
    if not settings.teach.keep:
        return None
    from service.teach.keeping.keeper import Keeper

    return Keeper(settings.teach.keep, metrics.teach)


async def _measure(drift: DriftRecorder) -> None:
    while True:
        await asyncio.sleep(DRIFT_SECONDS)
        drift.measure()


def _classifier(
    settings: Settings,
    lifecycle: Lifecycle,
    trials: Trials | None = None,
    observers: Sequence[AnswerObserver] = (),
) -> Classifier:
    return Classifier(
        lifecycle.registry,
        default_timeout=settings.inference.default_timeout_ms / 1000,
        max_tensor_batch=settings.limits.max_tensor_batch,
        trials=trials,
        observers=observers,
    )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
