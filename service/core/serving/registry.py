"""The registry: served models, their versions, and the default version of each.

Names that callers send are looked up in a table and never joined to a path. The table belongs to
the event loop: a request takes its model from it in one step and keeps it to the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from schemas.errors import ModelNotChosen, ModelNotFound, NotReady
from schemas.serving import VersionState
from service.core.serving.model import Model


@dataclass(slots=True)
class Version:
    """The state of one version; ``reason``: why it failed, without the folder."""

    state: VersionState
    model: Model | None = None
    reason: str = ""


@dataclass(slots=True)
class _Served:
    """One model: its default version, and all known versions."""

    default: Model | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class Registry:
    """The served models by name and version.

    Attributes:
        default: the name of the default model; None if there is none.
        revision: changes whenever ``get`` might return another model for a name.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        default: str | None,
        *,
        on_state: Callable[[str, int, VersionState | None], None] = lambda *_: None,
        on_ready: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """``models``: loaded already, each the default version of its name.

        Args:
            on_state: called when the state of a version changes; with None once it is gone.
            on_ready: called with whether the default version of a name is ready.
        """
        self.default = default
        self.revision = 0
        self._served: dict[str, _Served] = {}
        self._users: Counter[Model] = Counter()
        self._on_state, self._on_ready = on_state, on_ready
        for model in models.values():
            self.put(model)
            self.switch(model.ref.name, model.ref.version)

    def __iter__(self) -> Iterator[Model]:
        """Iterate over a snapshot of all loaded models, of every version."""
        versions = [one for served in self._served.values() for one in served.versions.values()]
        return iter([version.model for version in versions if version.model])

    def get(self, name: str | None, version: int | None = None) -> Model:
        """Return the named or default version of the named or default model.

        Raises:
            ModelNotChosen: no model is named, and there is no default model.
            ModelNotFound: no such model, or that version of it is not served.
            NotReady: it is loading, failed to load, or does not pass its canary at present.
        """
        model = self.find(name, version)
        if not model.is_ready:
            message = f"The model '{model.ref.name}' is not ready."
            raise NotReady(message, retry_after=5)
        return model

    def find(self, name: str | None, version: int | None = None) -> Model:
        """Return the model as ``get`` does, whether its canary passes or not.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: as ``get``, but for the canary.
        """
        name = self.default if name is None else name
        if name is None:
            raise ModelNotChosen
        served = self._served.get(name)
        if served is None:
            raise ModelNotFound
        if version is None:
            if served.default is None:
                message = f"No version of the model '{name}' is ready."
                raise NotReady(message, retry_after=5)
            return served.default
        found = served.versions.get(version)
        gone = {VersionState.UNLOADED, VersionState.UNLOADING}
        if found is None or found.state in gone:
            message = "That version of the model is not served."
            raise ModelNotFound(message)
        if found.model is None:
            message = f"Version {version} of the model '{name}' is not ready."
            raise NotReady(message, retry_after=5)
        return found.model

    @contextmanager
    def lease(self, model: Model) -> Iterator[None]:
        """Keep a model open until the block ends, even if it is replaced or unloaded.

        For callers that use a model more than once, or wait between getting and using it.
        """
        self._users[model] += 1
        try:
            yield
        finally:
            self._users[model] -= 1
            if not self._users[model]:
                del self._users[model]

    def is_leased(self, model: Model) -> bool:
        """Return whether a lease on the model is held."""
        return model in self._users

    def names(self) -> list[str]:
        """Return the names of all known models, loaded or not, sorted."""
        return sorted(self._served)

    def default_version(self, name: str) -> Model | None:
        """Return the default version of a model, ready or not; None if there is none."""
        served = self._served.get(name)
        return served.default if served else None

    def versions(self, name: str) -> dict[int, Version]:
        """Return all versions of a model by number, the lowest first.

        Raises:
            ModelNotFound: no such model.
        """
        if name not in self._served:
            raise ModelNotFound
        return self.all_versions(name)

    def all_versions(self, name: str) -> dict[int, Version]:
        """Return all versions as ``versions`` does; empty for an unknown model."""
        served = self._served.get(name)
        return dict(sorted(served.versions.items())) if served else {}

    def version(self, name: str, number: int) -> Version | None:
        """Return the state of one version; None if it is unknown."""
        served = self._served.get(name)
        return served.versions.get(number) if served else None

    def labels(self, name: str) -> dict[str, int]:
        """Return the version number of each label."""
        served = self._served.get(name)
        return dict(served.labels) if served else {}

    # Called by the life cycle only.

    def put(self, model: Model) -> Model | None:
        """Add a model as READY; return the one that it replaces, which must be closed."""
        name, number = model.ref.name, model.ref.version
        served = self._served.setdefault(name, _Served())
        old = served.versions.get(number)
        served.versions[number] = Version(VersionState.READY, model)
        replaced = old.model if old else None
        if replaced is not None and served.default is replaced:
            served.default = model
        self.revision += 1
        self._on_state(name, number, VersionState.READY)
        self.tell_readiness()
        return replaced

    def mark(self, name: str, number: int, state: VersionState, reason: str = "") -> None:
        """Set the state of a version; its model, if any, stays."""
        versions = self._served.setdefault(name, _Served()).versions
        version = versions.setdefault(number, Version(state))
        version.state, version.reason = state, reason
        self.revision += 1
        self._on_state(name, number, state)

    def switch(self, name: str, number: int) -> None:
        """Make a version the default of its model. It must be loaded."""
        self._served[name].default = self._served[name].versions[number].model
        self.revision += 1
        self.tell_readiness()

    def set_labels(self, name: str, labels: Mapping[str, int]) -> None:
        """Replace the labels of a model, if it is known."""
        if name in self._served:
            self._served[name].labels = dict(labels)

    def take(self, name: str, number: int) -> Model | None:
        """Remove a version's model and return it to be closed; the version is UNLOADING."""
        served = self._served[name]
        version = served.versions[number]
        model, version.model = version.model, None
        if model is not None and served.default is model:
            served.default = None
        self.mark(name, number, VersionState.UNLOADING)
        self.tell_readiness()
        return model

    def forget(self, name: str, number: int) -> None:
        """Remove a version that no longer exists, and its model if no version is left."""
        served = self._served[name]
        served.versions.pop(number, None)
        self.revision += 1
        self._on_state(name, number, None)
        if not served.versions:
            del self._served[name]

    def tell_readiness(self) -> None:
        """Report the readiness of every model to ``on_ready``."""
        for name, served in self._served.items():
            self._on_ready(name, served.default is not None and served.default.is_ready)
