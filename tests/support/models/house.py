"""A served repository without a network; tests change it and check what is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.serving import POLICY_FILE, REPOSITORY_FILE, VersionState
from service.core.engine.pool import WorkerPool
from service.core.lifecycle.lifecycle import Lifecycle
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.lifecycle.model_control import ModelControl
from service.core.repository.repository import Repository
from service.core.rollout.rollouts import Rollouts
from service.core.serving.classifier import Classifier
from service.core.serving.model import Model
from service.core.settings import RunSettings
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import image_limits, write_model


class House:
    """A served repository, and its recorded events."""

    def __init__(self, root: Path, pool: WorkerPool) -> None:
        self.root, self.metrics, self.released = root, Metrics(), 0
        self.loaded: list[str] = []
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1))

        def load(folder: Path) -> Model:
            self.loaded.append(f"{folder.parent.name}/{folder.name}")
            return load_model(folder, pool, options, self.metrics)

        def released() -> None:
            self.released += 1

        self.lifecycle = Lifecycle(Repository(root), load, self.metrics, after_release=released)
        self.registry = self.lifecycle.registry
        self.control = ModelControl(self.lifecycle, Audit(self.metrics))
        self.is_busy = False
        """Whether calls wait, for copies of calls."""
        self.rollouts = Rollouts(self.registry, self.metrics.rollouts, lambda: self.is_busy)
        self.classifier = Classifier(self.registry, default_timeout=10, trials=self.rollouts)

    def add(self, version: int, **changes: object) -> Path:
        """Add a version with labels that contain its number."""
        labels = [f"{colour} {version}" for colour in ("red", "green", "blue")]
        return write_model(self.root, None, **{"version": version, "labels": labels, **changes})

    def policy(self, text: str, name: str = "colours") -> None:
        (self.root / name / POLICY_FILE).write_text(text)

    def choose(self, text: str) -> None:
        """Write the repository's policy (``repository.json``)."""
        (self.root / REPOSITORY_FILE).write_text(text)

    async def refresh(self) -> None:
        """Poll twice: changes are applied when a folder is unchanged between two polls."""
        await self.lifecycle.refresh()
        await self.lifecycle.refresh()

    async def ask(self, version: int | None = None, name: str | None = None) -> str:
        ticket = self.classifier.issue_ticket(name, version, ANYONE)
        ref, answer = await self.classifier.classify(plain(RED), ticket, top_k=1)
        label = answer.predictions[0].label
        assert label == f"red {ref.version}", "an answer of one version under another's name"
        return label

    def states(self, name: str = "colours") -> dict[int, VersionState]:
        return {number: one.state for number, one in self.registry.versions(name).items()}

    def reason(self, version: int) -> str:
        return self.registry.versions("colours")[version].reason

    def counted(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"model": "colours", **labels})


@asynccontextmanager
async def opened(
    root: Path, fill: Callable[[House], object], default: str | None = None
) -> AsyncIterator[House]:
    """``default``: the setting ``default_model``."""
    pool = WorkerPool("lifecycle", 1)
    house = House(root, pool)
    fill(house)
    try:
        await house.lifecycle.start(default)
        yield house
    finally:
        await house.rollouts.close()
        await house.lifecycle.close()
        pool.close()
