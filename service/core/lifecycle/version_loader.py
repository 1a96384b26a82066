"""Loading of versions: each is tried once for the same files, and the outcome is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.serving import VersionState
from service.core.lifecycle.background_executor import Executor, threads_at_full_priority
from service.core.lifecycle.model_unloader import ModelUnloader
from service.core.repository.repository import Fingerprint, ModelRefused
from service.core.serving.model import Model
from service.core.serving.registry import Registry

LoadModel = Callable[[Path], Model]
"""Read, check and warm up the version in a folder; called on other threads."""


class VersionLoader:
    """The step from UNLOADED over LOADING to READY or FAILED. Belongs to the event loop."""

    def __init__(
        self,
        load: LoadModel,
        registry: Registry,
        metrics: Metrics,
        unloader: ModelUnloader,
    ) -> None:
        """``unloader``: frees a model that a new one of the same version replaced."""
        self._load, self._registry, self._metrics = load, registry, metrics
        self._unloader = unloader
        self._tried: dict[tuple[str, int], Fingerprint] = {}
        self._refusals: dict[tuple[str, int], str] = {}
        self._log = get_logger("models")

    async def ensure(
        self, folder: Path, fingerprint: Fingerprint, executor: Executor, *, quietly: bool = False
    ) -> bool:
        """Load a version unless these files were tried before; return whether it is loaded.

        It is READY or FAILED afterwards; a loaded version stays READY if its new files fail.
        """
        name, number = folder.parent.name, int(folder.name)
        version = self._registry.version(name, number)
        is_loaded = version is not None and version.model is not None
        if self._tried.get((name, number)) == fingerprint:
            return is_loaded
        if not is_loaded:
            self._registry.set_state(name, number, VersionState.LOADING)
        self._tried[name, number] = fingerprint
        series, began = self._metrics.models.life(name), time.perf_counter()
        try:
            model = await executor.run(partial(self._load_in, folder))
        except Exception as error:  # noqa: BLE001 - one failure does not stop the others
            reason = str(error) if isinstance(error, ModelRefused) else f"{folder}: {error!r}"
            self._refusals[name, number] = reason
            series.load_failures.inc()
            if not quietly:
                self._log.error("model failed", model=name, version=number, reason=reason)
            if not is_loaded:
                self._registry.set_state(
                    name, number, VersionState.FAILED, without_path(folder, reason)
                )
            return is_loaded
        except BaseException:  # the server is stopping
            self.forget(name, number)
            raise
        seconds = time.perf_counter() - began
        series.load_duration.observe(seconds)
        self._refusals.pop((name, number), None)
        if not quietly:
            took = round(seconds, 3)
            self._log.info("model loaded", model=name, version=number, seconds=took)
        replaced = self._registry.add(model)
        if replaced is not None:
            self._unloader.free(replaced)
        return True

    def refusal(self, name: str, number: int) -> str | None:
        """Return why a version failed, with its path, for the operator; None if it did not."""
        return self._refusals.get((name, number))

    def refusals(self) -> dict[tuple[str, int], str]:
        """Return why each failed version failed, by name and version."""
        return dict(self._refusals)

    def forget(self, name: str, number: int) -> None:
        """Clear the outcome of a version, so that ``ensure`` tries it again."""
        self._tried.pop((name, number), None)
        self._refusals.pop((name, number), None)

    def _load_in(self, folder: Path) -> Model:
        with threads_at_full_priority():
            return self._load(folder)


def without_path(folder: Path, reason: str) -> str:
    """Remove the path on the server's disk from a reason."""
    return reason.removeprefix(f"{folder}: ").replace(f"{folder}/", "").replace(str(folder), "")
