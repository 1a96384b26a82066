"""Choice of the default model: the setting, else the stored choice, else the only model.

Without any of these there is no default model, and callers must name one. So a model that is added
to a repository never replaces another one as the default.
"""

from __future__ import annotations

from collections.abc import Collection

from observability.logs.logging import get_logger
from service.core.lifecycle.background_executor import BackgroundExecutor
from service.core.repository.repository import ModelRefused, Repository
from service.core.serving.registry import Registry


def default_model(setting: str | None, chosen: str | None, names: Collection[str]) -> str | None:
    """Return the name of the default model; None if there is none.

    Args:
        setting: ``default_model`` of the configuration, which takes precedence.
        chosen: the stored choice; if that model does not exist, there is no default model.
        names: the models of the repository.
    """
    if setting is not None:
        return setting
    if chosen is not None:
        return chosen if chosen in names else None
    return next(iter(names)) if len(names) == 1 else None


class DefaultModel:
    """Updates of ``Registry.default`` from the repository. Belongs to the event loop.

    Attributes:
        setting: ``default_model`` of the configuration; it is fixed by ``start``.
    """

    def __init__(self, repository: Repository, registry: Registry) -> None:
        self._repository, self._registry = repository, registry
        self.setting: str | None = None
        self._chosen: str | None = None
        self._wanted: str | None = None
        self._names: Collection[str] = ()
        self._fault = ""
        self._log = get_logger("models")

    def start(self, setting: str | None, names: Collection[str]) -> None:
        """Determine the default model at the start, before any model is loaded.

        Raises:
            ModelRefused: the setting names a model that does not exist, or the repository's policy
                cannot be read.
        """
        if setting is not None and setting not in names:
            root = self._repository.root
            raise ModelRefused(f"default_model: there is no model '{setting}' in {root}")
        self.setting = setting
        self._chosen = None if setting is not None else self._repository.chosen_model()
        self._wanted = default_model(setting, self._chosen, names)
        self._registry.default = self._wanted

    def needs(self, name: str) -> bool:
        """Return whether a model is loaded even if its own policy disables it."""
        return name in {self._chosen, self._wanted, self._registry.default}

    async def read(self, names: Collection[str], background: BackgroundExecutor) -> None:
        """Read the stored choice, which ``update`` applies once the models are loaded.

        Args:
            names: the models of the repository, listed before this call: so a choice stored before
                another model is added is not overlooked.
        """
        self._names = names
        if self.setting is not None:
            return
        try:
            chosen = await background.run(self._repository.chosen_model)
            if chosen is not None and chosen not in names:  # it may have been added since
                self._names = await background.run(self._repository.names)
        except ModelRefused as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._log.error("cannot read the chosen default model", reason=self._fault)
            return
        self._fault, self._chosen = "", chosen

    def update(self) -> None:
        """Make the wanted model the default once a version of it is loaded.

        Until then the previous default stays. If no model is wanted, the default becomes None.
        """
        before = self._registry.default
        self._wanted = wanted = self._resolve()
        if wanted == before:
            return
        if wanted is not None and self._registry.default_version(wanted) is None:
            return
        self._registry.default = wanted
        if wanted is None:
            self.log_missing()
        else:
            self._log.info("default model changed", model=wanted, before=before)

    def _resolve(self) -> str | None:
        """Return the model that is to be the default by setting, choice or number of models."""
        chosen, known = self._chosen, set(self._registry.names())
        if self.setting is not None:
            return self.setting
        if chosen is not None and self._registry.default_version(chosen) is not None:
            return chosen  # even if its folder was removed: served from memory until the next start
        # A folder that may still be growing is not known yet, and does not count.
        names = [name for name in self._names if name in known or name == chosen]
        return default_model(None, chosen, names) if names else self._wanted

    def log_missing(self) -> None:
        """Log that there is no default model, and why; do nothing if there is one."""
        if self._registry.default is not None:
            return
        if self._chosen is not None:
            self._log.error("chosen default model not found", model=self._chosen)
        self._log.warning(
            "calls that name no model are refused: choose one with 'potoo models default NAME'",
            models=self._registry.names(),
        )
