"""The use case: an encoded image in, a labelled answer out. Every transport calls this."""

from __future__ import annotations

import asyncio
import contextlib
import time

from schemas.inference import ModelConfig, ModelMetadata, ModelStatistics, RepositoryModel
from schemas.models import ModelInfo, ModelList
from service.core import description
from service.core.answer import Classification, ModelRef
from service.core.fair_queue import Priority
from service.core.inference import InferRequest, InferResponse
from service.core.registry import Registry


class Classifier:
    """Resolves the model, applies the default deadline, keeps readiness honest."""

    def __init__(
        self, registry: Registry, *, default_timeout: float, max_tensor_batch: int = 64
    ) -> None:
        """``default_timeout``: seconds for a request that names none.

        ``max_tensor_batch``: items that one request's tensors may hold.
        """
        self._registry = registry
        self._default_timeout = default_timeout
        self._max_tensor_batch = max_tensor_batch

    async def classify(
        self,
        image: bytes,
        *,
        model: str | None,
        top_k: int,
        timeout: float | None,
        owner: str = "",
        priority: Priority = Priority.NORMAL,
        protocol: str = "http",
    ) -> tuple[ModelRef, Classification]:
        """What ``model`` (or the default one) says about an encoded image.

        Args:
            top_k: 1 to 100, cut to the number of classes.
            timeout: seconds from now; None for the default.
            owner: who asks; owners take turns.
            protocol: by which it came, for the metrics.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
            UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded, DeadlineExceeded,
            InferenceFailed: see ``Model.classify``.
        """
        deadline = time.monotonic() + (self._default_timeout if timeout is None else timeout)
        served = self._registry.get(model)
        answer = await served.classify(
            image, top_k, deadline, owner=owner, priority=priority, protocol=protocol
        )
        return served.ref, answer

    async def infer(
        self, request: InferRequest, *, owner: str = "", protocol: str = "v2"
    ) -> InferResponse:
        """A model's raw output for tensors or for encoded images.

        Args:
            owner: who asks; owners take turns.
            protocol: by which it came, for the metrics.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
            InvalidTensor, UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded,
            DeadlineExceeded, InferenceFailed: see ``Model.infer``.
        """
        timeout = self._default_timeout if request.timeout is None else request.timeout
        deadline = time.monotonic() + timeout
        served = self._registry.get(request.model, request.version)
        return await served.infer(
            request, deadline, most=self._max_tensor_batch, owner=owner, protocol=protocol
        )

    def resolve(self, model: str | None, version: int | None = None) -> ModelRef:
        """Which model would answer.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
        """
        return self._registry.get(model, version).ref

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

    def metadata(self, name: str, version: int | None = None) -> ModelMetadata:
        """A model's tensors.

        Raises:
            ModelNotFound: no such model.
        """
        return description.metadata(self._registry.find(name, version))

    def config(self, name: str, version: int | None = None) -> ModelConfig:
        """A model's tensors and how it is run, in Triton's words.

        Raises:
            ModelNotFound: no such model.
        """
        model = self._registry.find(name, version)
        return description.config(model, self._max_tensor_batch)

    def statistics(
        self, name: str | None = None, version: int | None = None
    ) -> list[ModelStatistics]:
        """How often a model was asked and where the time went; of all models if none is named.

        Raises:
            ModelNotFound: no such model.
        """
        models = self._registry if name is None else [self._registry.find(name, version)]
        return [description.statistics(model) for model in models]

    def index(self) -> list[RepositoryModel]:
        """What lies in the repository, and its state."""
        return [description.entry(model) for model in self._registry]

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
