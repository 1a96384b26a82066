"""Changes to models, for HTTP, gRPC and the command line; all are recorded in the security log.

A change is stored in the repository, so that all its servers apply it, also after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from observability.logs.audit import Audit, AuditEvent
from schemas.errors import Conflict
from schemas.rollout import Rollout, RolloutEnd, RolloutOptions
from schemas.serving import ServingPolicy
from service.core.lifecycle.background_executor import Executor
from service.core.repository import publishing
from service.core.repository.repository import (
    ModelRefused,
    NoSuchVersion,
    Repository,
    RepositoryEntry,
)
from service.core.repository.serving_policy import (
    promoted,
    require_unused,
    rolled_back,
    target,
    versions_to_check,
    with_enabled,
    with_rollout,
    with_version,
    without_rollout,
    without_version,
)

ChangePolicy = Callable[[ServingPolicy, Collection[int], int | None], ServingPolicy]
"""Map a policy, the available versions and the current default version to a new policy."""
ChangeForNew = Callable[[ServingPolicy, Collection[int], int | None, int], ServingPolicy]
"""The same for a version that is added; the last argument is its number."""


class ModelHost(Protocol):
    """Where versions are checked and served: ``Lifecycle`` in a server, else ``OfflineModels``.

    Attributes:
        repository: the models and their policies.
        executor: runs blocking disk access.
    """

    repository: Repository
    executor: Executor

    @property
    def default_setting(self) -> str | None:
        """The setting ``default_model``."""

    @property
    def default_model(self) -> str | None:
        """The current default model; None if there is none."""

    def changing(self) -> AbstractAsyncContextManager[None]:
        """Exclude other changes for the block, and translate errors for the host's callers."""

    async def default_version(self, name: str) -> int | None:
        """Return the current default version of a model; None if there is none."""

    def check(self, folder: Path) -> None:
        """Require that the version in a folder, which may be a draft, passes its checks. Blocks.

        Raises:
            Conflict, ModelRefused: it cannot be served.
        """

    async def require_servable(self, name: str, number: int, *, retry: bool) -> None:
        """Require that a version passes its checks; a server loads it.

        Args:
            retry: check a version again even if its current files failed before.

        Raises:
            Conflict, ModelRefused: it cannot be served.
        """

    async def require_default(self, name: str) -> None:
        """Require that a version of the model can be its default version; a server loads it.

        Raises:
            Conflict, ModelRefused: no version can be served.
        """

    async def follow(self, name: str) -> None:
        """Load and unload versions of a model to match its stored policy."""

    async def follow_default(self, name: str | None) -> None:
        """Apply the stored choice of the default model."""


class ModelControl:
    """Changes to models.

    Errors of every method depend on the host:

    - ``ModelNotFound`` or ``NoSuchModel``, ``NoSuchVersion``: there is no such model, or version;
    - ``Conflict`` or ``ModelRefused``, ``PolicyRefused``, ``VersionInUse``, ``OSError``: a version
    cannot be served or is in use, or the policy cannot be changed or written.

    ``by``: the account, or the user of the command line, for the security log.
    """

    def __init__(self, host: ModelHost, audit: Audit) -> None:
        self._host, self._audit = host, audit

    async def add(
        self,
        name: str,
        write: Callable[[publishing.Draft], object],
        *,
        by: str,
        change: ChangeForNew | None = None,
    ) -> int:
        """Publish a new version of a model once it passed its checks; return its number.

        Args:
            write: writes the files of the version into the folder of the draft; blocks.
            change: of the policy, before the version becomes visible; None: as it is, so that the
                version becomes the default if that is the newest one.
        """
        host, publish = self._host, Publisher(self._audit, by)

        def publish_checked(available: Collection[int], answering: int | None) -> int:
            with publishing.drafting(host.repository.root, name) as draft:
                write(draft)
                host.check(draft.folder)
                number = draft.version
                if change is None:
                    publish(draft)
                else:
                    publish(draft, lambda policy: change(policy, available, answering, number))
                return number

        async with host.changing():
            available: Collection[int] = ()
            answering = None
            if change is not None and name in await host.executor.run(host.repository.names):
                available = await host.executor.run(partial(host.repository.versions, name))
                answering = await host.default_version(name)
            version = await host.executor.run(partial(publish_checked, available, answering))
            await host.follow(name)
        return version

    async def load(self, name: str, version: int | None = None, *, by: str) -> None:
        """Load a version beside the default one, even if it failed before.

        Args:
            version: None to load a model that was unloaded as a whole.
        """

        def change(policy: ServingPolicy, *_: object) -> ServingPolicy:
            if version is None:
                return with_enabled(policy, enabled=True)
            return with_version(policy, version)

        async with self._host.changing():
            await self._change(name, change, version=version)
        self._audit.record(AuditEvent.MODEL_LOADED, account=by, model=name, version=version)

    async def unload(self, name: str, version: int | None = None, *, by: str) -> None:
        """Unload a version that is neither the default one nor labelled.

        Args:
            version: None to unload the whole model, unless it is the default model.
        """

        def change(policy: ServingPolicy, *_: object) -> ServingPolicy:
            if version is None:
                return with_enabled(policy, enabled=False)
            return without_version(policy, version)

        async with self._host.changing():
            if version is not None:
                await self._require_unused(name, version)
            elif name == self._host.default_model:
                raise Conflict("This is the default model, so it stays loaded.")
            await self._change(name, change)
        self._audit.record(AuditEvent.MODEL_UNLOADED, account=by, model=name, version=version)

    async def promote(
        self,
        name: str,
        version: int | None,
        *,
        label: str | None = None,
        keep_default: bool = False,
        by: str,
    ) -> None:
        """Make a version the default, once it is loaded and passed its checks.

        Args:
            version: None to follow the newest that passes its checks.
            label: see ``serving_policy.promoted``; ``keep_default`` too.
        """

        def change(
            policy: ServingPolicy, _: Collection[int], answering: int | None
        ) -> ServingPolicy:
            return promoted(policy, version, answering, label=label, keep_default=keep_default)

        async with self._host.changing():
            wanted = await self._change(name, change, version=version, check=version is not None)
        self._audit.record(
            AuditEvent.MODEL_PROMOTED,
            account=by,
            model=name,
            version=version or wanted,
            label=label,
        )

    async def roll_back(self, name: str, *, by: str) -> None:
        """Restore the previous default version."""
        async with self._host.changing():
            version = await self._change(name, rolled_back)
        self._audit.record(AuditEvent.MODEL_ROLLED_BACK, account=by, model=name, version=version)

    async def begin_rollout(self, name: str, options: RolloutOptions, *, by: str) -> Rollout:
        """Try a version beside the default one, once it is loaded and passed its checks.

        It takes the place of another rollout of the model.
        """
        rollout = Rollout(**dict(options), begun=datetime.now(UTC), by=by)

        def change(
            policy: ServingPolicy, _: Collection[int], answering: int | None
        ) -> ServingPolicy:
            ended = without_rollout(policy, RolloutEnd.STOPPED, by)
            return with_rollout(ended, rollout, answering)

        async with self._host.changing():
            await self._change(name, change, version=rollout.version)
        self._audit.record(
            AuditEvent.ROLLOUT_BEGUN,
            account=by,
            model=name,
            version=rollout.version,
            mode=rollout.mode,
            share=rollout.share,
        )
        return rollout

    async def end_rollout(
        self,
        name: str,
        *,
        reason: RolloutEnd = RolloutEnd.STOPPED,
        rollout: Rollout | None = None,
        by: str,
    ) -> bool:
        """End the rollout of a model.

        Args:
            reason: with ``PROMOTED``, its version becomes the default.
            rollout: end only this one; another server may have ended it before.

        Returns:
            Whether there was one to end.
        """
        ended: list[Rollout] = []

        def change(
            policy: ServingPolicy, _: Collection[int], answering: int | None
        ) -> ServingPolicy:
            found = policy.rollout
            ended.clear()
            if found is None or (rollout is not None and found != rollout):
                return policy
            ended.append(found)
            without = without_rollout(policy, reason, by)
            if reason is RolloutEnd.PROMOTED:
                return promoted(without, found.version, answering)
            return without

        async with self._host.changing():
            await self._change(name, change)
        for one in ended:
            facts = {"account": by, "model": name, "version": one.version}
            self._audit.record(AuditEvent.ROLLOUT_ENDED, **facts, mode=one.mode, reason=reason)
            if reason is RolloutEnd.PROMOTED:
                self._audit.record(AuditEvent.MODEL_PROMOTED, **facts, label=None)
        return bool(ended)

    async def choose_default(self, name: str | None, *, by: str) -> None:
        """Choose the default model of every server of the repository; None removes the choice.

        A version of it must pass its checks. The setting ``default_model`` of a server takes
        precedence.
        """
        host = self._host
        async with host.changing():
            if name is not None:
                await host.executor.run(partial(host.repository.folder, name))
                await host.require_default(name)
            await host.executor.run(partial(host.repository.choose_model, name))
            await host.follow_default(name)
        self._audit.record(AuditEvent.MODEL_DEFAULT_CHANGED, account=by, model=name)

    async def remove(self, name: str, version: int, *, by: str) -> None:
        """Delete a version that is neither the default one nor labelled.

        The last version of the model that is set or chosen as the default model stays.
        """
        host, run = self._host, self._host.executor.run
        async with host.changing():
            setting = host.default_setting
            await run(
                partial(publishing.require_removable, host.repository, name, version, setting)
            )
            await self._require_unused(name, version)
            await run(partial(publishing.remove, host.repository, name, version))
        self._audit.record(AuditEvent.MODEL_REMOVED, account=by, model=name, version=version)

    async def _require_unused(self, name: str, version: int) -> None:
        entry, policy = await self._read(name)
        answering = await self._host.default_version(name)
        if version not in entry.versions and version != answering:
            raise NoSuchVersion(name, version)
        require_unused(name, version, policy, answering)

    async def _change(
        self, name: str, change: ChangePolicy, *, version: int | None = None, check: bool = True
    ) -> int | None:
        """Store a changed policy, and apply it; return its target.

        The versions that it newly requests are checked before, so that no stored policy requests
        a version that cannot be served.

        Args:
            version: must exist; checked again even if it failed before.
        """
        host, run = self._host, self._host.executor.run
        entry, old = await self._read(name)
        available = entry.versions
        if version is not None and version not in available:
            raise NoSuchVersion(name, version)
        answering = await host.default_version(name)
        new = change(old, available, answering)
        needed = versions_to_check(old, new, available) if check else set()
        if version is not None:
            needed.add(version)
        for number in sorted(needed):
            if number not in available:
                raise NoSuchVersion(name, number)
            await host.require_servable(name, number, retry=number == version)
        write = partial(
            host.repository.change_policy, name, lambda policy: change(policy, available, answering)
        )
        stored = await run(write)
        await host.follow(name)
        return target(stored, available)

    async def _read(self, name: str) -> tuple[RepositoryEntry, ServingPolicy]:
        entry = await self._host.executor.run(partial(self._host.repository.entry, name))
        if entry.policy is None:
            raise ModelRefused(entry.fault)
        return entry, entry.policy


class Publisher:
    """Publication of new versions, recorded in the security log."""

    def __init__(self, audit: Audit, by: str) -> None:
        """``by``: see ``ModelControl``."""
        self._audit, self._by = audit, by

    def __call__(
        self, draft: publishing.Draft, change: publishing.PolicyChange | None = None
    ) -> Path:
        """Publish a draft as ``Draft.publish`` does."""
        folder = draft.publish(change)
        self._audit.record(
            AuditEvent.MODEL_ADDED, account=self._by, model=draft.name, version=draft.version
        )
        return folder
