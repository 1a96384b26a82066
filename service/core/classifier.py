"""The use case: an encoded image in, a labelled answer out. Every transport calls this."""

from __future__ import annotations

import asyncio
import contextlib
import time

from schemas.models import ModelInfo, ModelList
from service.core.answer import Classification, ModelRef
from service.core.fair_queue import Priority
from service.core.registry import Registry


class Classifier:
    """Resolves the model, applies the default deadline, keeps readiness honest."""

    def __init__(self, registry: Registry, *, default_timeout: float) -> None:
        """``default_timeout``: seconds for a request that names none."""
        self._registry = registry
        self._default_timeout = default_timeout

    async def classify(
        self,
        image: bytes,
        *,
        model: str | None,
        top_k: int,
        timeout: float | None,
        owner: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> tuple[ModelRef, Classification]:
        """What ``model`` (or the default one) says about an encoded image.

        Args:
            top_k: 1 to 100, cut to the number of classes.
            timeout: seconds from now; None for the default.
            owner: who asks; owners take turns.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
            UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded, DeadlineExceeded,
            InferenceFailed: see ``Model.classify``.
        """
        deadline = time.monotonic() + (self._default_timeout if timeout is None else timeout)
        served = self._registry.get(model)
        answer = await served.classify(image, top_k, deadline, owner=owner, priority=priority)
        return served.ref, answer

    def admit(
        self, *, model: str | None, timeout: float | None, owner: str, priority: Priority
    ) -> ModelRef:
        """Which model would answer; for transports to ask before they receive an image.

        Raises:
            ModelNotFound, NotReady, Overloaded, DeadlineExceeded: what ``classify`` would raise
                at once.
        """
        served = self._registry.get(model)
        allowed = self._default_timeout if timeout is None else timeout
        served.admit(allowed, owner=owner, priority=priority)
        return served.ref

    def resolve(self, model: str | None) -> ModelRef:
        """Which model would answer.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
        """
        return self._registry.get(model).ref

    def models(self) -> ModelList:
        """The models served here."""
        default = self._registry.default
        return ModelList(
            models=[model.summary(default=model.ref.name == default) for model in self._registry]
        )

    def model(self, name: str) -> ModelInfo:
        """Everything about one model.

        Raises:
            ModelNotFound: no such model.
        """
        return self._registry.find(name).info(default=name == self._registry.default)

    def readiness(self) -> dict[str, bool]:
        """Readiness by model name."""
        return {model.ref.name: model.is_ready for model in self._registry}

    async def watch(self, *, interval: float, timeout: float) -> None:
        """Asks every model its canary question every ``interval`` seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            for model in self._registry:
                await model.canary(timeout)

    async def close(self) -> None:
        """Answers what was accepted, then gives every model's memory back."""
        for model in self._registry:
            with contextlib.suppress(asyncio.CancelledError):
                await model.close()
