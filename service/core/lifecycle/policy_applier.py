"""Application of serving policies: which versions are loaded, which one is the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from observability.logs.logging import get_logger
from schemas.serving import LATEST, ServingPolicy, VersionState
from service.core.lifecycle.background_executor import Executor, InlineExecutor
from service.core.lifecycle.default_model import DefaultModel
from service.core.lifecycle.model_unloader import ModelUnloader
from service.core.lifecycle.version_loader import VersionLoader
from service.core.repository.repository import Fingerprint, RepositoryEntry
from service.core.repository.serving_policy import always_loaded, candidates, target
from service.core.serving.registry import Registry

_IDLE = {VersionState.UNLOADED, VersionState.FAILED}


@dataclass(slots=True)
class _ModelState:
    """One model at the last refresh; ``fault``: why its policy cannot be read, or empty."""

    policy: ServingPolicy | None = None
    fault: str = ""
    versions: Mapping[int, Fingerprint] = field(default_factory=dict)


class PolicyApplier:
    """Brings the registry in line with the repository. Belongs to the event loop.

    It loads what a policy requests, then switches the default version, then unloads the rest.
    """

    def __init__(
        self,
        root: Path,
        registry: Registry,
        default_model: DefaultModel,
        loader: VersionLoader,
        unloader: ModelUnloader,
    ) -> None:
        """``root``: the folder of the repository."""
        self._root, self._registry, self._default_model = root, registry, default_model
        self._loader, self._unloader = loader, unloader
        self._states: dict[str, _ModelState] = {}
        self._log = get_logger("models")

    async def apply(
        self,
        name: str,
        entry: RepositoryEntry,
        executor: Executor,
        *,
        unchanged_only: bool = False,
    ) -> None:
        """Load and unload versions of one model as its policy requests.

        Args:
            unchanged_only: ignore folders that changed since the last call; they may still grow.
        """
        state = self._states.setdefault(name, _ModelState())
        available = {
            number: fingerprint
            for number, fingerprint in entry.versions.items()
            if not unchanged_only or state.versions.get(number) == fingerprint
        }
        state.versions = entry.versions
        self._register(name, available, entry)
        policy = self._update_policy(name, entry)
        if policy is None:
            return
        needed: set[int] = set()
        if policy.enabled or self._default_model.needs(name):
            default = await self._load_default(name, policy, available, executor)
            if default is not None:
                self._switch_default(name, default)
                needed.add(default)
            for number in sorted(always_loaded(policy) & available.keys()):
                if await self.load(name, number, available[number], executor):
                    needed.add(number)
            self._registry.set_labels(name, policy.labels)
            self._registry.set_rollout(name, policy.rollout, policy.last_rollout)
        for number, version in self._registry.all_versions(name).items():
            if version.model is not None and number not in needed:
                self._loader.forget(name, number)
                self._unloader.unload(name, number)

    async def load(
        self, name: str, number: int, fingerprint: Fingerprint, executor: Executor
    ) -> bool:
        """Load a version unless these files were tried before; return whether it is loaded."""
        folder = self._root / name / str(number)
        # The start logs its own failures, and reports in one line if it fails.
        quietly = isinstance(executor, InlineExecutor)
        return await self._loader.ensure(folder, fingerprint, executor, quietly=quietly)

    async def load_default(self, name: str, entry: RepositoryEntry, executor: Executor) -> bool:
        """Load the version that the policy makes the default; return whether there is one."""
        policy = self._update_policy(name, entry)
        if policy is None:
            return False
        return await self._load_default(name, policy, entry.versions, executor) is not None

    def refusal(self, name: str) -> str:
        """Return why no version of a model can be served: one line, for the operator."""
        state = self._states[name]
        if state.policy is None:
            return state.fault
        wanted = target(state.policy, state.versions)
        refusal = None if wanted is None else self._loader.refusal(name, wanted)
        folder = self._root / name
        return refusal or f"{folder}: there is no version {wanted}, which is to be served"

    def _update_policy(self, name: str, entry: RepositoryEntry) -> ServingPolicy | None:
        """Return the current policy, or, if it is unreadable, the last one that was read."""
        state = self._states.setdefault(name, _ModelState())
        if entry.fault and entry.fault != state.fault:
            self._log.error("policy cannot be read", model=name, reason=entry.fault)
        state.fault = entry.fault
        state.policy = entry.policy or state.policy
        return state.policy

    async def _load_default(
        self,
        name: str,
        policy: ServingPolicy,
        available: Mapping[int, Fingerprint],
        executor: Executor,
    ) -> int | None:
        """Load the version that is to be the default and return it; None if there is none."""
        current = self._registry.default_version(name)
        order = candidates(policy, available)
        if current is not None and policy.default != LATEST:
            # Only the target replaces a default version that is loaded already.
            order = [number for number in order if number == target(policy, available)]
        for number in order:
            if await self.load(name, number, available[number], executor):
                return number
        return current.ref.version if current is not None else None

    def _switch_default(self, name: str, number: int) -> None:
        before = self._registry.default_version(name)
        if before is None or before.ref.version != number:
            self._registry.set_default(name, number)
            if before is not None:
                old = before.ref.version
                self._log.info("model switched", model=name, version=number, before=old)

    def _register(
        self, name: str, available: Mapping[int, Fingerprint], entry: RepositoryEntry
    ) -> None:
        """Register new versions, and remove those whose folders are gone."""
        for number in available:
            if self._registry.version(name, number) is None:
                self._registry.set_state(name, number, VersionState.UNLOADED)
        for number, version in self._registry.all_versions(name).items():
            version.is_on_disk = number in entry.versions
            if not version.is_on_disk and version.state in _IDLE:
                self._registry.remove_version(name, number)
                self._loader.forget(name, number)
