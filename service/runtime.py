"""The one place that builds objects. Stops them in mirror order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass

from observability.metrics import Metrics
from schemas.errors import ErrorCode
from service import __version__
from service.core.batching import BatchPolicy
from service.core.classifier import Classifier
from service.core.pool import WorkerPool
from service.core.registry import ModelOptions, ModelRefused, Registry, find_versions, load_model
from service.identity import Identity, keep_fresh, open_identity
from service.settings import Settings

CANARY_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a transport may need."""

    pool: WorkerPool
    classifier: Classifier
    identity: Identity

    @property
    def is_ready(self) -> bool:
        """Every model is warm and passed its last canary inference, and tokens can be checked."""
        return self.identity.is_ready and all(self.classifier.readiness().values())


OpenRuntime = Callable[[Settings, Metrics], AbstractAsyncContextManager[Runtime]]
"""The seam for tests: they pass another one and patch nothing."""


@asynccontextmanager
async def open_runtime(settings: Settings, metrics: Metrics) -> AsyncIterator[Runtime]:
    """Loads and warms up the models, opens the store; drains and closes on exit.

    Raises:
        ModelRefused, UnsafeKey, SettingsError: with a message for the operator.
        NotReady: if the store does not answer.
    """
    metrics.build_info.labels(__version__).set(1)
    metrics.preset_errors(ErrorCode)
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(open_identity(settings, metrics))
        await stack.enter_async_context(keep_fresh(identity, settings))
        pool = stack.enter_context(open_pool(settings))
        classifier = await stack.enter_async_context(open_classifier(settings, pool, metrics))
        watch = asyncio.create_task(
            classifier.watch(
                interval=settings.inference.canary_interval_seconds, timeout=CANARY_TIMEOUT
            )
        )
        stack.push_async_callback(_stop, watch)
        yield Runtime(pool, classifier, identity)


@asynccontextmanager
async def open_classifier(
    settings: Settings, pool: WorkerPool, metrics: Metrics
) -> AsyncIterator[Classifier]:
    """The core alone, without accounts: what the command line classifies with.

    Raises:
        ModelRefused: with a message for the operator.
    """
    inference = settings.inference
    options = ModelOptions(
        settings.limits.of_images,
        BatchPolicy(
            max_batch_size=inference.max_batch_size,
            max_queue_delay=inference.max_queue_delay_ms / 1000,
            queue_capacity=inference.queue_capacity,
        ),
        inference.threads_per_run,
        inference.threads_alone or settings.inference_workers,
    )
    folders = find_versions(settings.models)
    models = {folder.parent.name: load_model(folder, pool, options, metrics) for folder in folders}
    default = settings.default_model or next(iter(models))
    if default not in models:
        message = f"default_model: there is no model '{default}' in {settings.models}"
        raise ModelRefused(message)
    classifier = Classifier(
        Registry(models, default),
        default_timeout=inference.default_timeout_ms / 1000,
        max_tensor_batch=settings.limits.max_tensor_batch,
    )
    try:
        yield classifier
    finally:
        await classifier.close()


@contextmanager
def open_pool(settings: Settings) -> Iterator[WorkerPool]:
    """The worker threads; what is queued is finished on exit."""
    pool = WorkerPool("potoo-worker", settings.inference_workers)
    try:
        yield pool
    finally:
        pool.close()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
