"""The life cycle of model versions: loading, switching and unloading beside live traffic.

::

    UNLOADED --asked for--> LOADING --warmed up--> READY
        ^                    |   ^                   |
        |             failed |   | files changed,    | no longer asked for
        |                    v   | or an order       v
        |                   FAILED               UNLOADING
        |                                            |
        +------------- drained, memory freed --------+

A new version folder starts as UNLOADED. UNLOADING goes back to LOADING if the version is asked for
again. A version whose folder is gone is forgotten once it is UNLOADED or FAILED, or unloading ends.
Changed files of a READY version load beside it; it stays READY and is replaced if they pass.

A version is loaded, optimised, checked and warmed up on a thread of low priority. Only then, in one
step on the event loop, does it replace the previous default version, which answers the requests it
accepted and frees its memory. If it fails, the previous version goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from observability.logging import get_logger
from observability.metrics import Metrics
from schemas.errors import Conflict, ModelNotFound
from schemas.serving import LATEST, ServingPolicy, VersionState
from service.core.lifecycle.background_executor import BackgroundExecutor, Executor, InlineExecutor
from service.core.lifecycle.default_model import DefaultModel
from service.core.lifecycle.model_unloader import ModelUnloader
from service.core.lifecycle.version_loader import LoadModel, VersionLoader
from service.core.repository.repository import (
    Fingerprint,
    ModelRefused,
    Repository,
    RepositoryEntry,
)
from service.core.repository.serving_policy import (
    PolicyRefused,
    asked_for,
    besides,
    candidates,
    target,
)
from service.core.serving.registry import Registry

ChangePolicy = Callable[[ServingPolicy, Collection[int], int | None], ServingPolicy]
"""Map a policy, the available versions and the current default version to a new policy."""


@dataclass(slots=True)
class _Known:
    """State of one model at the last refresh."""

    policy: ServingPolicy | None = None
    fault: str = ""
    seen: Mapping[int, Fingerprint] = field(default_factory=dict)


class Lifecycle:
    """The versions in service. Belongs to the event loop; one refresh or order at a time."""

    def __init__(
        self,
        repository: Repository,
        load: LoadModel,
        metrics: Metrics,
        *,
        after_release: Callable[[], None] = lambda: None,
    ) -> None:
        """``after_release``: called on the loader's thread after a model freed its memory."""
        self.repository = repository
        self._metrics = metrics
        self._background = BackgroundExecutor()
        self._known: dict[str, _Known] = {}
        self._turn = asyncio.Lock()
        self._log = get_logger("models")
        self.registry = Registry({}, None, on_state=self._tell_state, on_ready=self._tell_ready)
        self._default = DefaultModel(repository, self.registry)
        self._unloader = ModelUnloader(self.registry, self._background, after_release)
        self._loader = VersionLoader(load, self.registry, metrics, self._unloader.begin)

    async def start(self, default: str | None) -> None:
        """Load the versions asked for at full speed: there is no traffic yet.

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
        self._default.begin(default, entries)
        for name, entry in entries.items():
            await self._bring(name, entry, InlineExecutor())
        needed = entries if self.registry.default is None else (self.registry.default,)
        if not any(self.registry.default_version(name) for name in needed):
            raise ModelRefused(self._why_not(next(iter(needed))))

    def log_failures(self) -> None:
        """Log the failures of the start; later failures are logged when they happen."""
        self._default.tell()
        for (name, number), reason in self._loader.refusals().items():
            self._log.error("model failed", model=name, version=number, reason=reason)

    async def watch(self, interval: float) -> None:
        """Look at the repository every ``interval`` seconds, forever."""
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
        async with self._turn:
            entries = await self._background.run(self.repository.scan)
            await self._default.read(entries, self._background)
            for name, entry in entries.items():
                seen = self._known[name].seen if name in self._known else {}
                await self._bring(name, entry, self._background, seen)
            self._default.follow()

    async def change(self, name: str, change: ChangePolicy, *, version: int | None = None) -> None:
        """Change a model's policy on an order, and load and unload versions to match.

        The versions that it newly asks for are loaded before it is written, so that no order stores
        a policy that cannot be served.

        Args:
            version: must exist, and is tried again even if it failed before.

        Raises:
            ModelNotFound: there is no such model, or version.
            Conflict: a version cannot be served, or the policy cannot be changed or written.
        """
        async with self._turn:
            with _as_conflicts():
                await self._change(name, change, version)

    async def choose_default(self, name: str) -> None:
        """Choose the default model of every server of the repository.

        Raises:
            ModelNotFound: there is no such model.
            Conflict: no version of the model can be served, or the choice cannot be written.
        """
        async with self._turn:
            run = self._background.run
            with _as_conflicts():
                entries = await run(self.repository.scan)
                if name not in entries:
                    raise ModelNotFound
                entry = entries[name]
                policy = self._policy(name, self._known.setdefault(name, _Known()), entry)
                if not policy or not await self._choose(
                    name, policy, entry.versions, self._background
                ):
                    raise Conflict("No version of this model can be served.")
                await run(partial(self.repository.choose_model, name))
            await self._default.read(entries, self._background)
            await self._bring(name, entry, self._background)
            self._default.follow()

    async def close(self) -> None:
        """Answer accepted requests, then free the memory of every model."""
        await self._unloader.finish()
        self._background.close()
        for model in self.registry:
            with contextlib.suppress(asyncio.CancelledError):
                await model.close()
        self.registry.tell_readiness()

    async def _change(self, name: str, change: ChangePolicy, version: int | None) -> None:
        run, repository = self._background.run, self.repository
        entry = (await run(repository.scan)).get(name)
        if entry is None:
            raise ModelNotFound
        there = entry.versions
        if version is not None and version not in there:
            raise ModelNotFound("There is no such version of this model.")
        now = await run(partial(repository.policy, name))
        model = self.registry.default_version(name)
        answering = model.ref.version if model is not None else None
        then = change(now, there, answering)
        needed = asked_for(then, there) - asked_for(now, there)
        if version is not None and version in asked_for(then, there):
            needed |= {version}
            if self._loader.refusal(name, version):
                self._loader.forget(name, version)
        for number in sorted(needed):
            if number not in there:
                raise ModelNotFound("There is no such version of this model.")
            if not await self._ensure(name, number, there, self._background):
                reason = self.registry.versions(name)[number].reason
                raise Conflict(f"Version {number} cannot be served: {reason}")
        await run(
            partial(repository.change_policy, name, lambda policy: change(policy, there, answering))
        )
        entry = (await run(repository.scan)).get(name, entry)
        await self._bring(name, entry, self._background)

    async def _bring(
        self,
        name: str,
        entry: RepositoryEntry,
        executor: Executor,
        seen: Mapping[int, Fingerprint] | None = None,
    ) -> None:
        """Load and unload versions of one model; with ``seen``, only unchanged folders count."""
        known = self._known.setdefault(name, _Known())
        there = {
            number: fingerprint
            for number, fingerprint in entry.versions.items()
            if seen is None or seen.get(number) == fingerprint
        }
        known.seen = entry.versions
        self._note(name, there, entry)
        policy = self._policy(name, known, entry)
        wanted: set[int] = set()
        if policy is not None and (policy.enabled or self._default.needs(name)):
            chosen = await self._choose(name, policy, there, executor)
            if chosen is not None:
                self._switch(name, chosen)
                wanted.add(chosen)
            for number in sorted(besides(policy) & there.keys()):
                if await self._ensure(name, number, there, executor):
                    wanted.add(number)
            self.registry.set_labels(name, policy.labels)
        if policy is not None:
            for number, version in self.registry.all_versions(name).items():
                if version.model is not None and number not in wanted:
                    self._retire(name, number)

    def _policy(self, name: str, known: _Known, entry: RepositoryEntry) -> ServingPolicy | None:
        """Return the current policy, or, if it is unreadable, the last one that was read."""
        if entry.fault and entry.fault != known.fault:
            self._log.error("policy cannot be read", model=name, reason=entry.fault)
        known.fault = entry.fault
        known.policy = entry.policy or known.policy
        return known.policy

    async def _choose(
        self, name: str, policy: ServingPolicy, there: Mapping[int, Fingerprint], executor: Executor
    ) -> int | None:
        """Load the version that is to be the default and return it; None if there is none."""
        now = self.registry.default_version(name)
        order = candidates(policy, there)
        if now is not None and policy.default != LATEST:
            # Only the target replaces a default version that is loaded already.
            order = [number for number in order if number == target(policy, there)]
        for number in order:
            if await self._ensure(name, number, there, executor):
                return number
        return now.ref.version if now is not None else None

    async def _ensure(
        self, name: str, number: int, there: Mapping[int, Fingerprint], executor: Executor
    ) -> bool:
        folder = self.repository.root / name / str(number)
        # The start logs its own failures, and reports in one line if it fails.
        quietly = not isinstance(executor, BackgroundExecutor)
        return await self._loader.ensure(folder, there[number], executor, quietly=quietly)

    def _switch(self, name: str, number: int) -> None:
        before = self.registry.default_version(name)
        if before is None or before.ref.version != number:
            self.registry.switch(name, number)
            if before is not None:
                old = before.ref.version
                self._log.info("model switched", model=name, version=number, before=old)

    def _retire(self, name: str, number: int) -> None:
        self._loader.forget(name, number)
        model = self.registry.take(name, number)
        if model is not None:
            self._unloader.begin(model, partial(self._gone, name, number))

    def _gone(self, name: str, number: int) -> None:
        version = self.registry.version(name, number)
        if version is not None and version.state is VersionState.UNLOADING:
            self._log.info("model unloaded", model=name, version=number)
            if number in self._known[name].seen:
                self.registry.mark(name, number, VersionState.UNLOADED)
            else:
                self.registry.forget(name, number)

    def _note(self, name: str, there: Mapping[int, Fingerprint], entry: RepositoryEntry) -> None:
        """Register new versions, and forget removed ones."""
        for number in there:
            if self.registry.version(name, number) is None:
                self.registry.mark(name, number, VersionState.UNLOADED)
        for number, version in self.registry.all_versions(name).items():
            idle = {VersionState.UNLOADED, VersionState.FAILED}
            if number not in entry.versions and version.state in idle:
                self.registry.forget(name, number)
                self._loader.forget(name, number)

    def _why_not(self, name: str) -> str:
        """Return why no version of a model can be served: one line, for the operator."""
        known = self._known[name]
        if known.policy is None:
            return known.fault
        wanted = target(known.policy, known.seen)
        refusal = None if wanted is None else self._loader.refusal(name, wanted)
        return (
            refusal
            or f"{self.repository.root / name}: there is no version {wanted}, which is to be served"
        )

    def _tell_state(self, name: str, number: int, state: VersionState | None) -> None:
        series = self._metrics.models.life(name).state
        for each in VersionState:
            series(number, each).set(each is state)

    def _tell_ready(self, name: str, is_ready: bool) -> None:
        self._metrics.models.life(name).ready.set(is_ready)


@contextlib.contextmanager
def _as_conflicts() -> Iterator[None]:
    """Turn errors of an order into ``Conflict``, without paths of the server's disk."""
    try:
        yield
    except PolicyRefused as error:
        raise Conflict(f"This cannot be done: {error}.") from error
    except ModelRefused as error:
        raise Conflict("A policy in the model repository cannot be read.") from error
    except OSError as error:
        raise Conflict("The server may not write its model repository.") from error
