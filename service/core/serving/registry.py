"""Which models are served, and which version of each answers.

Names that callers send are looked up in a table and never joined to a path. The table belongs to
the event loop: a request takes its model from it at one instant and keeps it to the end.
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
    """Where one version stands; ``reason``: why it failed, with the folder left out."""

    state: VersionState
    model: Model | None = None
    reason: str = ""


@dataclass(slots=True)
class _Served:
    """One model: the version that answers when none is named, and all that are known."""

    default: Model | None = None
    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class Registry:
    """The served models by name and version.

    Attributes:
        default: the model that answers when a caller names none; None if none is chosen.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        default: str | None,
        *,
        on_state: Callable[[str, int, VersionState | None], None] = lambda *_: None,
        on_ready: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """``models``: those loaded already, each the default version of its name.

        Args:
            on_state: told whenever a version changes its state; None once it is gone.
            on_ready: told whether the default version of a name is ready.
        """
        self.default = default
        self._served: dict[str, _Served] = {}
        self._users: Counter[Model] = Counter()
        self._on_state, self._on_ready = on_state, on_ready
        for model in models.values():
            self.put(model)
            self.switch(model.ref.name, model.ref.version)

    def __iter__(self) -> Iterator[Model]:
        """Every model that is loaded, whichever version; as of now."""
        versions = [one for served in self._served.values() for one in served.versions.values()]
        return iter([version.model for version in versions if version.model])

    def get(self, name: str | None, version: int | None = None) -> Model:
        """The model of that name, or the default one; of a version, or the default one.

        Raises:
            ModelNotChosen: none is named, and none is chosen to answer then.
            ModelNotFound: no such model, or that version of it is not served.
            NotReady: it is being loaded, could not be, or does not pass its canary at present.
        """
        model = self.find(name, version)
        if not model.is_ready:
            message = f"The model '{model.ref.name}' is not ready."
            raise NotReady(message, retry_after=5)
        return model

    def find(self, name: str | None, version: int | None = None) -> Model:
        """The same, whether its canary passes or not.

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
    def lease(self, name: str | None, version: int | None = None) -> Iterator[Model]:
        """What ``get`` gives, kept from being closed until the block ends.

        For whoever asks a model more than once, or waits between getting and asking it.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: as ``get``.
        """
        model = self.get(name, version)
        self._users[model] += 1
        try:
            yield model
        finally:
            self._users[model] -= 1
            if not self._users[model]:
                del self._users[model]

    def is_leased(self, model: Model) -> bool:
        """Whether somebody is in the middle of using it."""
        return model in self._users

    def names(self) -> list[str]:
        """Every model there is, whether it could be loaded or not."""
        return sorted(self._served)

    def default_version(self, name: str) -> Model | None:
        """What answers for a name when no version is named, ready or not; None if nothing does."""
        served = self._served.get(name)
        return served.default if served else None

    def versions(self, name: str) -> dict[int, Version]:
        """All versions of a model by number, the lowest first.

        Raises:
            ModelNotFound: no such model, or not in that version.
        """
        if name not in self._served:
            raise ModelNotFound
        return self.all_versions(name)

    def all_versions(self, name: str) -> dict[int, Version]:
        """The same, and nothing for a model that is not known."""
        served = self._served.get(name)
        return dict(sorted(served.versions.items())) if served else {}

    def version(self, name: str, number: int) -> Version | None:
        """Where one version stands, if it is known."""
        served = self._served.get(name)
        return served.versions.get(number) if served else None

    def labels(self, name: str) -> dict[str, int]:
        """The versions that labels stand for."""
        served = self._served.get(name)
        return dict(served.labels) if served else {}

    # For the life cycle alone.

    def put(self, model: Model) -> Model | None:
        """Takes a model in as READY; returns the one that had its place, which must be closed."""
        name, number = model.ref.name, model.ref.version
        served = self._served.setdefault(name, _Served())
        old = served.versions.get(number)
        served.versions[number] = Version(VersionState.READY, model)
        replaced = old.model if old else None
        if replaced is not None and served.default is replaced:
            served.default = model
        self._on_state(name, number, VersionState.READY)
        self.tell_readiness()
        return replaced

    def mark(self, name: str, number: int, state: VersionState, reason: str = "") -> None:
        """Notes where a version stands; the model it may have stays."""
        versions = self._served.setdefault(name, _Served()).versions
        version = versions.setdefault(number, Version(state))
        version.state, version.reason = state, reason
        self._on_state(name, number, state)

    def switch(self, name: str, number: int) -> None:
        """From now on that version answers when none is named. It must be loaded."""
        self._served[name].default = self._served[name].versions[number].model
        self.tell_readiness()

    def set_labels(self, name: str, labels: Mapping[str, int]) -> None:
        """Replaces the labels of a model that is known."""
        if name in self._served:
            self._served[name].labels = dict(labels)

    def take(self, name: str, number: int) -> Model | None:
        """Takes a version's model out, for it to be closed: UNLOADING from now on."""
        served = self._served[name]
        version = served.versions[number]
        model, version.model = version.model, None
        if model is not None and served.default is model:
            served.default = None
        self.mark(name, number, VersionState.UNLOADING)
        self.tell_readiness()
        return model

    def forget(self, name: str, number: int) -> None:
        """Drops a version that is not there any more, and a model without versions."""
        served = self._served[name]
        served.versions.pop(number, None)
        self._on_state(name, number, None)
        if not served.versions:
            del self._served[name]

    def tell_readiness(self) -> None:
        """Tells ``on_ready`` how every model is."""
        for name, served in self._served.items():
            self._on_ready(name, served.default is not None and served.default.is_ready)
