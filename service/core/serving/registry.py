"""The registry: served models, their versions, and the default version of each.

Names that callers send are looked up in a table and never joined to a path. The table belongs to
the event loop: a request takes its model from it in one step and keeps it to the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from schemas.errors import ModelNotChosen, ModelNotFound, NotReady
from schemas.rollout import EndedRollout, Rollout
from schemas.serving import VersionState
from service.core.serving.model import Model

_OUT_OF_SERVICE = {VersionState.UNLOADED, VersionState.UNLOADING}


@dataclass(slots=True)
class Version:
    """The state of one version.

    ``reason``: why it failed, without the folder. ``is_on_disk``: whether the repository still has
    it, at the last refresh.
    """

    state: VersionState
    model: Model | None = None
    reason: str = ""
    is_on_disk: bool = True


@dataclass(slots=True)
class _ModelEntry:
    """One model: its default version, and all known versions."""

    default: Model | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class RegistryObserver(Protocol):
    """Receiver of state changes, such as metrics."""

    def version_changed(self, name: str, number: int, state: VersionState | None) -> None:
        """Receive the new state of a version; None once it is removed."""

    def readiness_reported(self, name: str, *, is_ready: bool) -> None:
        """Receive whether the default version of a model is ready."""


class Registry:
    """The served models by name and version.

    Attributes:
        default: the name of the default model; None if there is none.
        revision: changes whenever ``get`` might return another model for a name.
        rollouts: the versions that are tried beside the default ones, by model.
        last_rollouts: the last ones that ended, by model.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        default: str | None,
        observer: RegistryObserver | None = None,
    ) -> None:
        """``models``: loaded already, each the default version of its name."""
        self.default = default
        self.revision = 0
        self.rollouts: dict[str, Rollout] = {}
        self.last_rollouts: dict[str, EndedRollout] = {}
        self._entries: dict[str, _ModelEntry] = {}
        self._leases: Counter[Model] = Counter()
        self._observer = observer
        for model in models.values():
            self.add(model)
            self.set_default(model.ref.name, model.ref.version)

    def __iter__(self) -> Iterator[Model]:
        """Iterate over a snapshot of all loaded models, of every version."""
        versions = [one for entry in self._entries.values() for one in entry.versions.values()]
        return iter([version.model for version in versions if version.model])

    def get(self, name: str | None, version: int | str | None = None) -> Model:
        """Return the named or default version of the named or default model.

        Args:
            version: a number or a label.

        Raises:
            ModelNotChosen: no model is named, and there is no default model.
            ModelNotFound: no such model, no such label, or that version of it is not served.
            NotReady: it is loading, failed to load, or does not pass its canary at present.
        """
        model = self.find(name, version)
        if not model.is_ready:
            message = f"The model '{model.ref.name}' is not ready."
            raise NotReady(message, retry_after=5)
        return model

    def find(self, name: str | None, version: int | str | None = None) -> Model:
        """Return the model as ``get`` does, whether its canary passes or not.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: as ``get``, but for the canary.
        """
        name = self.default if name is None else name
        if name is None:
            raise ModelNotChosen
        entry = self._entries.get(name)
        if entry is None:
            raise ModelNotFound
        if version is None:
            if entry.default is None:
                message = f"No version of the model '{name}' is ready."
                raise NotReady(message, retry_after=5)
            return entry.default
        if isinstance(version, str):
            version = self.number_of(name, version)
        found = entry.versions.get(version)
        if found is None or found.state in _OUT_OF_SERVICE:
            message = "That version of the model is not served."
            raise ModelNotFound(message)
        if found.model is None:
            message = f"Version {version} of the model '{name}' is not ready."
            raise NotReady(message, retry_after=5)
        return found.model

    def number_of(self, name: str, label: str) -> int:
        """Return the version of a model that has a label.

        Raises:
            ModelNotFound: no such model, or no such label of it.
        """
        number = self.labels(name).get(label)
        if number is None:
            message = "No version of that model has that label."
            raise ModelNotFound(message)
        return number

    @contextmanager
    def lease(self, model: Model) -> Iterator[None]:
        """Keep a model open until the block ends, even if it is replaced or unloaded.

        For callers that use a model more than once, or wait between getting and using it.
        """
        self._leases[model] += 1
        try:
            yield
        finally:
            self._leases[model] -= 1
            if not self._leases[model]:
                del self._leases[model]

    def is_leased(self, model: Model) -> bool:
        """Return whether a lease on the model is held."""
        return model in self._leases

    def names(self) -> list[str]:
        """Return the names of all known models, loaded or not, sorted."""
        return sorted(self._entries)

    def default_version(self, name: str) -> Model | None:
        """Return the default version of a model, ready or not; None if there is none."""
        entry = self._entries.get(name)
        return entry.default if entry else None

    def versions(self, name: str) -> dict[int, Version]:
        """Return all versions of a model by number, the lowest first.

        Raises:
            ModelNotFound: no such model.
        """
        if name not in self._entries:
            raise ModelNotFound
        return self.all_versions(name)

    def all_versions(self, name: str) -> dict[int, Version]:
        """Return all versions as ``versions`` does; empty for an unknown model."""
        entry = self._entries.get(name)
        return dict(sorted(entry.versions.items())) if entry else {}

    def version(self, name: str, number: int) -> Version | None:
        """Return the state of one version; None if it is unknown."""
        entry = self._entries.get(name)
        return entry.versions.get(number) if entry else None

    def labels(self, name: str) -> dict[str, int]:
        """Return the version number of each label."""
        entry = self._entries.get(name)
        return dict(entry.labels) if entry else {}

    # Used by the life cycle only.

    def add(self, model: Model) -> Model | None:
        """Add a model as READY; return the one that it replaces, which must be closed."""
        name, number = model.ref.name, model.ref.version
        entry = self._entries.setdefault(name, _ModelEntry())
        old = entry.versions.get(number)
        entry.versions[number] = Version(VersionState.READY, model)
        replaced = old.model if old else None
        if replaced is not None and entry.default is replaced:
            entry.default = model
        self.revision += 1
        self._report_state(name, number, VersionState.READY)
        self.report_readiness()
        return replaced

    def set_state(self, name: str, number: int, state: VersionState, reason: str = "") -> None:
        """Set the state of a version; its model, if any, stays."""
        versions = self._entries.setdefault(name, _ModelEntry()).versions
        version = versions.setdefault(number, Version(state))
        version.state, version.reason = state, reason
        self.revision += 1
        self._report_state(name, number, state)

    def set_default(self, name: str, number: int) -> None:
        """Make a version the default of its model. It must be loaded."""
        self._entries[name].default = self._entries[name].versions[number].model
        self.revision += 1
        self.report_readiness()

    def set_labels(self, name: str, labels: Mapping[str, int]) -> None:
        """Replace the labels of a model, if it is known."""
        if name in self._entries:
            self._entries[name].labels = dict(labels)
            self.revision += 1

    def set_rollout(self, name: str, rollout: Rollout | None, last: EndedRollout | None) -> None:
        """Set which version of a model is tried, if any, and the last one that was."""
        self.rollouts.pop(name, None)
        self.last_rollouts.pop(name, None)
        if rollout is not None:
            self.rollouts[name] = rollout
        if last is not None:
            self.last_rollouts[name] = last

    def begin_unloading(self, name: str, number: int) -> Model | None:
        """Remove a version's model and return it to be closed; the version is UNLOADING."""
        entry = self._entries[name]
        version = entry.versions[number]
        model, version.model = version.model, None
        if model is not None and entry.default is model:
            entry.default = None
        self.set_state(name, number, VersionState.UNLOADING)
        self.report_readiness()
        return model

    def remove_version(self, name: str, number: int) -> None:
        """Remove a version that no longer exists, and its model if no version is left."""
        entry = self._entries[name]
        entry.versions.pop(number, None)
        self.revision += 1
        self._report_state(name, number, None)
        if not entry.versions:
            del self._entries[name]

    def report_readiness(self) -> None:
        """Report the readiness of every model to the observer."""
        if self._observer is None:
            return
        for name, entry in self._entries.items():
            is_ready = entry.default is not None and entry.default.is_ready
            self._observer.readiness_reported(name, is_ready=is_ready)

    def _report_state(self, name: str, number: int, state: VersionState | None) -> None:
        if self._observer is not None:
            self._observer.version_changed(name, number, state)
