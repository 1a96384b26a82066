"""The use case: an encoded image in, a labelled answer out. Every transport calls this."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from schemas.errors import ModelNotChosen, ModelNotFound
from schemas.inference import ModelConfig, ModelMetadata, ModelStatistics, RepositoryModel
from schemas.models import ModelInfo, ModelList, ModelSummary
from schemas.serving import ModelVersion
from service.core.imaging.answer import Classification, ModelRef
from service.core.scheduling.fair_queue import Priority
from service.core.serving import description
from service.core.serving.model import Model
from service.core.serving.registry import Registry
from service.core.tensors.inference import InferRequest, InferResponse


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
        model: str | Model | None,
        version: int | None = None,
        top_k: int,
        timeout: float | None,
        owner: str = "",
        priority: Priority = Priority.NORMAL,
        protocol: str = "http",
    ) -> tuple[ModelRef, Classification]:
        """What ``model`` (or the default one) says about an encoded image.

        Args:
            model: a name, or what ``lease`` gave.
            version: of a named model; None for the one that answers by default.
            top_k: 1 to 100, cut to the number of classes.
            timeout: seconds from now; None for the default.
            owner: who asks; owners take turns.
            protocol: by which it came, for the metrics.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady: see ``Registry.get``.
            UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded, DeadlineExceeded,
            InferenceFailed: see ``Model.classify``.
        """
        deadline = time.monotonic() + (self._default_timeout if timeout is None else timeout)
        served = model if isinstance(model, Model) else self._registry.get(model, version)
        answer = await served.classify(
            image, top_k, deadline, owner=owner, priority=priority, protocol=protocol
        )
        return served.ref, answer

    async def classify_all(
        self,
        images: Sequence[bytes],
        *,
        model: str,
        version: int | None = None,
        top_k: int,
        owner: str = "",
        protocol: str = "http",
    ) -> list[Classification]:
        """The same for images that belong together: all are answered within the default time.

        Raises:
            InvalidRequest: there are none, or more than one request may have.
            ModelNotFound, NotReady, and what else ``classify`` raises, with an image's number.
        """
        deadline = time.monotonic() + self._default_timeout
        return await self._registry.get(model, version).classify_all(
            images, top_k, deadline, most=self._max_tensor_batch, owner=owner, protocol=protocol
        )

    def admit(
        self,
        *,
        model: str | None,
        version: int | None = None,
        timeout: float | None,
        owner: str,
        priority: Priority,
    ) -> ModelRef:
        """Which model would answer; for transports to ask before they receive an image.

        Raises:
            ModelNotChosen, ModelNotFound, NotReady, Overloaded, DeadlineExceeded: what ``classify``
                would raise at once.
        """
        served = self._registry.get(model, version)
        allowed = self._default_timeout if timeout is None else timeout
        served.admit(allowed, owner=owner, priority=priority)
        return served.ref

    async def infer(
        self,
        request: InferRequest,
        *,
        model: Model | None = None,
        owner: str = "",
        protocol: str = "v2",
    ) -> InferResponse:
        """A model's raw output for tensors or for encoded images.

        Args:
            model: what ``lease`` gave, in place of the one that the request names.
            owner: who asks; owners take turns.
            protocol: by which it came, for the metrics.

        Raises:
            ModelNotFound, NotReady: see ``Registry.get``.
            InvalidTensor, UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded,
            DeadlineExceeded, InferenceFailed: see ``Model.infer``.
        """
        timeout = self._default_timeout if request.timeout is None else request.timeout
        deadline = time.monotonic() + timeout
        served = model or self._registry.get(request.model, request.version)
        return await served.infer(
            request, deadline, most=self._max_tensor_batch, owner=owner, protocol=protocol
        )

    def lease(self, model: str | None, version: int | None = None) -> AbstractContextManager[Model]:
        """The same version for all that is asked within: see ``Registry.lease``."""
        return self._registry.lease(model, version)

    def resolve(
        self,
        model: str | None,
        version: int | None = None,
        *,
        may_use: Callable[[str], bool] = lambda _: True,
    ) -> ModelRef:
        """Which model would answer.

        Args:
            may_use: which models may be told to the caller, where one has to be named.

        Raises:
            ModelNotChosen: with the names of those models.
            ModelNotFound, NotReady: see ``Registry.get``.
        """
        try:
            return self._registry.get(model, version).ref
        except ModelNotChosen:
            raise ModelNotChosen([*filter(may_use, self._registry.names())]) from None

    @property
    def default(self) -> ModelRef | None:
        """What answers when no model is named; None if none does."""
        name = self._registry.default
        model = None if name is None else self._registry.default_version(name)
        return model.ref if model else None

    def labelled(self, name: str, label: str) -> int:
        """The version of a model that a label stands for.

        Raises:
            ModelNotFound: no such model, or no such label of it.
        """
        version = self._registry.labels(name).get(label)
        if version is None:
            message = "No version of that model has that label."
            raise ModelNotFound(message)
        return version

    def models(self) -> ModelList:
        """The models served here, and those that should be and cannot."""
        return ModelList(models=[self._summary(name) for name in self._registry.names()])

    def model(self, name: str) -> ModelInfo:
        """Everything about one model, and the version of it that answers by default.

        Raises:
            ModelNotFound: no such model.
            NotReady: no version of it is loaded.
        """
        info = self._registry.find(name).info(default=name == self._registry.default)
        return info.model_copy(update={"versions": self.versions(name)})

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, the newest first.

        Raises:
            ModelNotFound: no such model.
        """
        versions, labels = self._registry.versions(name), self._registry.labels(name)
        answers = self._registry.default_version(name)
        return [
            ModelVersion(
                version=number,
                state=version.state,
                default=answers is not None and version.model is answers,
                labels=sorted(label for label, meant in labels.items() if meant == number),
                reason=version.reason or None,
            )
            for number, version in reversed(versions.items())
        ]

    def metadata(self, name: str, version: int | None = None) -> ModelMetadata:
        """A model's tensors.

        Raises:
            ModelNotFound: no such model.
        """
        model = self._registry.find(name, version)
        there = self._registry.versions(name).items()
        return description.metadata(model, (number for number, one in there if one.model))

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
        """What lies in the repository: every version, and its state."""
        return [
            description.entry(name, number, version)
            for name in self._registry.names()
            for number, version in self._registry.versions(name).items()
        ]

    def answering(self) -> list[ModelRef]:
        """The version of every model that answers for its name; the default model first."""
        found = map(self._registry.default_version, self._registry.names())
        refs = [model.ref for model in found if model is not None]
        return sorted(refs, key=lambda ref: (ref != self.default, ref.name))

    def readiness(self) -> dict[str, bool]:
        """Readiness by model name, of those that are served."""
        served = map(self._registry.default_version, self._registry.names())
        return {model.ref.name: model.is_ready for model in served if model is not None}

    async def watch(self, *, interval: float, timeout: float) -> None:
        """Asks every model its canary question every ``interval`` seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            for model in self._registry:
                await model.canary(timeout)
            self._registry.tell_readiness()

    def _summary(self, name: str) -> ModelSummary:
        """The line for the model list."""
        is_default = name == self._registry.default
        model, versions = self._registry.default_version(name), self.versions(name)
        if model is not None:
            shown = model.summary(default=is_default)
            return shown.model_copy(update={"versions": versions})
        return ModelSummary(
            name=name,
            version=versions[0].version,
            description="",
            classes=0,
            ready=False,
            default=is_default,
            calibrated=False,
            versions=versions,
        )
