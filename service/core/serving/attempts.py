"""Loads a version, once for the same files, and remembers what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from observability.logging import get_logger
from observability.metrics import Metrics
from schemas.serving import VersionState
from service.core.repository.repository import Fingerprint, ModelRefused
from service.core.serving.loader import Runner, threads_at_full_priority
from service.core.serving.model import Model
from service.core.serving.registry import Registry

LoadModel = Callable[[Path], Model]
"""Reads, checks and warms up the version in a folder; called on other threads."""


class Attempts:
    """What was tried to load. Belongs to the event loop."""

    def __init__(
        self,
        load: LoadModel,
        registry: Registry,
        metrics: Metrics,
        on_replaced: Callable[[Model], None],
    ) -> None:
        """``on_replaced``: told a model whose place another one of the same version took."""
        self._load, self._registry, self._metrics = load, registry, metrics
        self._on_replaced = on_replaced
        self._tried: dict[tuple[str, int], Fingerprint] = {}
        self._refusals: dict[tuple[str, int], str] = {}
        self._log = get_logger("models")

    async def ensure(
        self, folder: Path, fingerprint: Fingerprint, runner: Runner, *, quietly: bool = False
    ) -> bool:
        """Whether a version is loaded, after trying to, unless these very files were tried.

        READY or FAILED afterwards; one that is loaded already stays, whatever its new files are.
        """
        name, number = folder.parent.name, int(folder.name)
        version = self._registry.version(name, number)
        is_loaded = version is not None and version.model is not None
        if self._tried.get((name, number)) == fingerprint:
            return is_loaded
        if not is_loaded:
            self._registry.mark(name, number, VersionState.LOADING)
        self._tried[name, number] = fingerprint
        series, began = self._metrics.models.life(name), time.perf_counter()
        try:
            model = await runner.run(partial(self._load_in, folder))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            reason = str(error) if isinstance(error, ModelRefused) else f"{folder}: {error!r}"
            self._refusals[name, number] = reason
            series.load_failures.inc()
            if not quietly:
                self._log.error("model failed", model=name, version=number, reason=reason)
            if not is_loaded:
                self._registry.mark(name, number, VersionState.FAILED, _inside(folder, reason))
            return is_loaded
        except BaseException:  # the server stops
            self.forget(name, number)
            raise
        seconds = time.perf_counter() - began
        series.load_duration.observe(seconds)
        self._refusals.pop((name, number), None)
        if not quietly:
            took = round(seconds, 3)
            self._log.info("model loaded", model=name, version=number, seconds=took)
        replaced = self._registry.put(model)
        if replaced is not None:
            self._on_replaced(replaced)
        return True

    def refusal(self, name: str, number: int) -> str | None:
        """Why a version failed, with its place on the disk: for the operator."""
        return self._refusals.get((name, number))

    def refusals(self) -> dict[tuple[str, int], str]:
        """The same for all that failed."""
        return dict(self._refusals)

    def forget(self, name: str, number: int) -> None:
        """Has the next attempt made whatever became of the last one."""
        self._tried.pop((name, number), None)
        self._refusals.pop((name, number), None)

    def _load_in(self, folder: Path) -> Model:
        with threads_at_full_priority():
            return self._load(folder)


def _inside(folder: Path, reason: str) -> str:
    """Without the place on the server's disk."""
    return reason.removeprefix(f"{folder}: ").replace(f"{folder}/", "").replace(str(folder), "")
