"""The life cycle of model versions: loading, switching and unloading beside live traffic.

::

    UNLOADED --requested--> LOADING --warmed up--> READY
        ^                    |   ^                   |
        |             failed |   | files changed,    | no longer requested
        |                    v   | or load again     v
        |                   FAILED               UNLOADING
        |                                            |
        +------------- drained, memory freed --------+

A new version folder starts as UNLOADED. UNLOADING goes back to LOADING if the version is requested
again. A version whose folder was deleted leaves the registry once it is UNLOADED or FAILED, or
unloading ends. Changed files of a READY version load beside it; it stays READY and is replaced if
they pass.

``PolicyApplier`` decides what is requested, ``VersionLoader`` makes the steps to READY or FAILED,
``ModelUnloader`` those to UNLOADED; ``Registry`` holds the states.

A version is loaded, optimised, checked and warmed up on a thread of low priority. Only then, in one
step on the event loop, does it replace the previous default version, which answers the requests it
accepted and frees its memory. If it fails, the previous version continues.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import Conflict
from schemas.serving import VersionState
from service.core.lifecycle.background_executor import BackgroundExecutor, Executor, InlineExecutor
from service.core.lifecycle.default_model import DefaultModel
from service.core.lifecycle.model_unloader import ModelUnloader
from service.core.lifecycle.policy_applier import PolicyApplier
from service.core.lifecycle.refusals import as_service_errors
from service.core.lifecycle.version_loader import LoadModel, VersionLoader, without_path
from service.core.repository.repository import ModelRefused, NoSuchVersion, Repository
from service.core.serving.registry import Registry


class Lifecycle:
    """The versions in service. Belongs to the event loop; one refresh or change at a time.

    It is the ``ModelHost`` of a server.
    """

    def __init__(
        self,
        repository: Repository,
        load: LoadModel,
        metrics: Metrics,
        *,
        after_release: Callable[[], None] = lambda: None,
    ) -> None:
        """``after_release``: called on the background thread after a model freed its memory."""
        self.repository, self._load = repository, load
        self._background = BackgroundExecutor()
        self.executor: Executor = self._background
        self._lock = asyncio.Lock()
        self._log = get_logger("models")
        self.registry = Registry({}, None, observer=_StateMetrics(metrics))
        self._default_model = DefaultModel(repository, self.registry)
        unloader = ModelUnloader(self.registry, self._background, after_release)
        self._unloader = unloader
        self._loader = VersionLoader(load, self.registry, metrics, unloader)
        self._applier = PolicyApplier(
            repository.root, self.registry, self._default_model, self._loader, unloader
        )

    async def start(self, default: str | None) -> None:
        """Load the requested versions at normal priority: there is no traffic yet.

        Args:
            default: the setting ``default_model``.

        Raises:
            ModelRefused: there is no model, or no version of the default model can be served, or,
                without a default model, no version of any model.
        """
        entries = self.repository.scan()
        root = self.repository.root
        if not entries:
            raise ModelRefused(
                f"models: no models in {root} (expected <name>/<version>/model.onnx)"
            )
        self._default_model.start(default, entries)
        for name, entry in entries.items():
            await self._applier.apply(name, entry, InlineExecutor())
        needed = entries if self.registry.default is None else (self.registry.default,)
        if not any(self.registry.default_version(name) for name in needed):
            raise ModelRefused(self._applier.refusal(next(iter(needed))))

    def log_failures(self) -> None:
        """Log the failures of the start; later failures are logged when they happen."""
        self._default_model.log_missing()
        for (name, number), reason in self._loader.refusals().items():
            self._log.error("model failed", model=name, version=number, reason=reason)

    async def watch(self, interval: float) -> None:
        """Refresh every ``interval`` seconds, forever."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.refresh()
            except ModelRefused as error:
                self._log.error("cannot scan the model repository", reason=str(error))
            except Exception:  # noqa: BLE001 - the next refresh may succeed
                self._log.exception("scanning the model repository failed: this is a bug")

    async def refresh(self) -> None:
        """Load and unload versions to match the repository.

        A folder that changed since the last refresh may still be growing, and waits.

        Raises:
            ModelRefused: if the repository cannot be read; nothing changes then.
        """
        async with self._lock:
            entries = await self._background.run(self.repository.scan)
            await self._default_model.read(entries, self._background)
            for name, entry in entries.items():
                await self._applier.apply(name, entry, self._background, unchanged_only=True)
            self._default_model.update()

    async def close(self) -> None:
        """Answer accepted requests, then free the memory of every model."""
        await self._unloader.finish()
        self._background.close()
        for model in self.registry:
            with contextlib.suppress(asyncio.CancelledError):
                await model.close()
        self.registry.report_readiness()

    # The host of ``ModelControl``.

    @property
    def default_setting(self) -> str | None:
        """The setting ``default_model``."""
        return self._default_model.setting

    @property
    def default_model(self) -> str | None:
        """The default model; None if there is none."""
        return self.registry.default

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Exclude refreshes and other changes; raise ``Conflict`` and ``ModelNotFound``."""
        async with self._lock:
            with as_service_errors():
                yield

    async def default_version(self, name: str) -> int | None:
        """Return the default version; None if none is loaded."""
        model = self.registry.default_version(name)
        return model.ref.version if model is not None else None

    def check(self, folder: Path) -> None:
        """Load the version in a folder, which may be a draft, and free it. Blocks.

        Raises:
            Conflict: it cannot be served.
        """
        try:
            self._load(folder).release()
        except ModelRefused as error:
            reason = without_path(folder, str(error))
            raise Conflict(f"The new version cannot be served: {reason}") from error

    async def require_servable(self, name: str, number: int, *, retry: bool) -> None:
        """Load a version beside the default one.

        Args:
            retry: load it again if its present files failed before.

        Raises:
            Conflict: it cannot be served.
            NoSuchModel, NoSuchVersion: it is gone.
        """
        if retry and self._loader.refusal(name, number):
            self._loader.forget(name, number)
        entry = await self._background.run(partial(self.repository.entry, name))
        if number not in entry.versions:
            raise NoSuchVersion(name, number)
        if not await self._applier.load(name, number, entry.versions[number], self._background):
            reason = self.registry.versions(name)[number].reason
            raise Conflict(f"Version {number} cannot be served: {reason}")

    async def require_default(self, name: str) -> None:
        """Load the version of a model that is to be its default version.

        Raises:
            Conflict: no version can be served.
            NoSuchModel: the model is gone.
        """
        entry = await self._background.run(partial(self.repository.entry, name))
        if not await self._applier.load_default(name, entry, self._background):
            raise Conflict("No version of this model can be served.")

    async def follow(self, name: str) -> None:
        """Load and unload versions of a model to match its stored policy."""
        entry = await self._background.run(partial(self.repository.entry, name))
        await self._applier.apply(name, entry, self._background)

    async def follow_default(self, name: str | None) -> None:
        """Follow the stored choice of the default model."""
        names = await self._background.run(self.repository.names)
        await self._default_model.read(names, self._background)
        if name is not None:
            await self.follow(name)
        self._default_model.update()


class _StateMetrics:
    """Metrics of states and readiness, as an observer of the registry."""

    def __init__(self, metrics: Metrics) -> None:
        self._models = metrics.models

    def version_changed(self, name: str, number: int, state: VersionState | None) -> None:
        """Set the gauge of the state to 1 and the others to 0."""
        series = self._models.life(name).state
        for each in VersionState:
            series(number, each).set(each is state)

    def readiness_reported(self, name: str, *, is_ready: bool) -> None:
        """Set the gauge of the model's readiness."""
        self._models.life(name).ready.set(is_ready)
