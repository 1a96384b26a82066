"""The entry point of all transports: classification, inference and canaries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from schemas.manifest.text import NormalForm
from service.core.imaging.answer import Classification, LabelledAnswer, ModelRef
from service.core.numeric.rows import Numbers
from service.core.scheduling.call_context import CallContext
from service.core.series.preprocessing import Samples
from service.core.serving.classification import Ranking
from service.core.serving.image_tensors import ImageTensor
from service.core.serving.model import Model
from service.core.serving.observing import AnswerObserver
from service.core.serving.queries.queries import ModelQueries
from service.core.serving.registry import Registry
from service.core.serving.text_tokens import TokenizedTexts
from service.core.serving.ticket import Ticket
from service.core.serving.trials import Trial, Trials, watched
from service.core.tensors.inference import InferRequest, InferResponse


class Classifier(ModelQueries):
    """Model resolution, admission, time-outs and readiness checks, for every transport."""

    def __init__(
        self,
        registry: Registry,
        *,
        default_timeout: float,
        max_tensor_batch: int = 64,
        trials: Trials | None = None,
        observers: Sequence[AnswerObserver] = (),
    ) -> None:
        """``default_timeout``: seconds for a request without a time-out.

        ``max_tensor_batch``: the maximum number of images or tensor items in one request.
        """
        super().__init__(registry, max_tensor_batch)
        self._trials, self._observers = trials, observers
        self._default_timeout = default_timeout

    def issue_ticket(
        self,
        model: str | None,
        version: int | str | None,
        call: CallContext,
        *,
        may_use: Callable[[str], bool] = lambda _: True,
    ) -> Ticket:
        """Resolve the model that a call means, once for all steps of the call.

        A new default model only applies to later calls. A new default version of this model answers
        if it is loaded before the input is complete.

        Args:
            version: of a named model, a number or a label; None for the default version.
            may_use: whether a model's name may be shown to the caller in ``ModelNotChosen``.

        Raises:
            ModelNotChosen: see ``Registry.get``; with the names that may be shown.
            ModelNotFound, NotReady: see ``Registry.get``.
        """
        found = self._get(model, version, may_use)
        if version is None and self._trials is not None:
            found = self._trials.model_for(call.owner, found)
        timeout = self._default_timeout if call.timeout is None else call.timeout
        return Ticket(found, version, call, timeout, self._registry.revision)

    def admit(self, ticket: Ticket) -> None:
        """Check that the call would not be refused at once; call this before receiving its body.

        Raises:
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.admit``.
        """
        ticket.model.admit(ticket.timeout, ticket.call)

    async def classify(
        self, image: bytes, ticket: Ticket, *, top_k: int, deadline: float | None = None
    ) -> tuple[ModelRef, Classification]:
        """Classify an encoded image.

        Args:
            top_k: 1 to 100, cut to the number of classes.
            deadline: on ``time.monotonic``, in seconds; None for that of the ticket, from now on.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded, DeadlineExceeded,
            InferenceFailed: see ``Model.classify``.
        """
        model = self._model_of(ticket)
        until = ticket.deadline() if deadline is None else deadline
        trial = self._trial(ticket)
        if trial is None:
            answer = await model.classify(image, top_k, until, ticket.call)
            self._observe(model, image, answer, ticket.call)
            return model.ref, answer
        with watched(trial, model):
            answer = await model.classify(image, top_k, until, ticket.call)
        self._observe(model, image, answer, ticket.call)
        trial.answered(model, answer)
        trial.copy(
            model,
            answer,
            ticket.call,
            lambda other, call: other.classify(image, top_k, ticket.deadline(), call),
        )
        return model.ref, answer

    async def classify_each(
        self, image: bytes, tickets: Sequence[Ticket], *, top_k: int
    ) -> list[tuple[ModelRef, Classification]]:
        """Classify an image by several models; those that were taught on one base run it once.

        Args:
            tickets: one for each model; the deadline is that of the first.

        Raises:
            ServiceError: see ``classify``; of any of the models.
        """
        models = [self._model_of(ticket) for ticket in tickets]
        deadline, call = tickets[0].deadline(), tickets[0].call
        groups: list[list[int]] = []
        for place, model in enumerate(models):
            for group in groups:
                if models[group[0]].shares_base_with(model):
                    group.append(place)
                    break
            else:
                groups.append([place])
        with ExitStack() as leases:
            for model in models:
                leases.enter_context(self._registry.lease(model))
            running = [
                models[first].classify_with(
                    [models[place] for place in rest], image, top_k, deadline, call
                )
                for first, *rest in groups
            ]
            # All end before the leases do, also those beside one that fails.
            found = await asyncio.gather(*running, return_exceptions=True)
        answers: dict[int, Classification] = {}
        for group, of_group in zip(groups, found, strict=True):
            if isinstance(of_group, BaseException):
                raise of_group
            answers.update(zip(group, of_group, strict=True))
        for place, model in enumerate(models):
            self._observe(model, image, answers[place], call)
        return [(model.ref, answers[place]) for place, model in enumerate(models)]

    async def image_tensor(self, image: bytes, ticket: Ticket) -> ImageTensor:
        """Return the tensor that the graph of a model takes for an encoded image.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes no images.
            UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded, DeadlineExceeded: see
            ``Model.image_tensor``.
        """
        model = self._model_of(ticket)
        return await model.image_tensor(image, ticket.deadline(), ticket.call)

    async def classify_series(
        self, window: Samples, ticket: Ticket, *, top_k: int, deadline: float | None = None
    ) -> tuple[ModelRef, LabelledAnswer]:
        """Classify a window of samples.

        Args:
            window: float32 [length, channels], oldest first; must not change before the answer.
            top_k: see ``classify``, as ``deadline``.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes images.
            InvalidTensor: the window's shape or type is wrong.
            NotFinite: a sample is not finite, and the model's manifest refuses that.
            Overloaded, DeadlineExceeded, InferenceFailed: see ``Model.classify_series``.
        """
        model = self._model_of(ticket)
        until = ticket.deadline() if deadline is None else deadline
        trial = self._trial(ticket)
        if trial is None:
            return model.ref, await model.classify_series(window, top_k, until, ticket.call)
        with watched(trial, model):
            answer = await model.classify_series(window, top_k, until, ticket.call)
        trial.answered(model, answer)
        trial.copy(
            model,
            answer,
            ticket.call,
            lambda other, call: other.classify_series(window, top_k, ticket.deadline(), call),
        )
        return model.ref, answer

    async def classify_series_each(
        self, windows: Sequence[Samples], tickets: Sequence[Ticket], *, top_k: int
    ) -> tuple[ModelRef, list[Ranking | ServiceError]]:
        """Rank the labels for windows of several callers, which are answered together.

        Args:
            windows: see ``classify_series``.
            tickets: one for each window, all for the same model and version.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the tickets were issued.
            Unsupported: the model takes images.
        """
        model, until = self._model_of(tickets[0]), tickets[0].deadline()
        calls = [ticket.call for ticket in tickets]
        return model.ref, await model.classify_series_each(windows, top_k, until, calls)

    async def classify_text(
        self, text: str, ticket: Ticket, *, top_k: int, deadline: float | None = None
    ) -> tuple[ModelRef, LabelledAnswer]:
        """Classify a text.

        Args:
            top_k: see ``classify``, as ``deadline``.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes no text, or gives no labels.
            TextTooLong, InvalidText: see ``text.preprocessing``.
            Overloaded, DeadlineExceeded, InferenceFailed: see ``Model.classify_text``.
        """
        model = self._model_of(ticket)
        until = ticket.deadline() if deadline is None else deadline
        return model.ref, await model.classify_text(text, top_k, until, ticket.call)

    async def embed(
        self, texts: Sequence[str], ticket: Ticket, *, deadline: float | None = None
    ) -> tuple[ModelRef, NDArray[np.float32]]:
        """Return the numbers of each text, float32 [N, D]; of all texts, or an error.

        Args:
            deadline: see ``classify``.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes no text, or gives labels.
            InvalidRequest: there are no texts, or too many for one request.
            TextTooLong, InvalidText: see ``text.preprocessing``; with the text's number.
            Overloaded, DeadlineExceeded, InferenceFailed: see ``Model.embed``.
        """
        model, most = self._model_of(ticket), self._max_tensor_batch
        until = ticket.deadline() if deadline is None else deadline
        return model.ref, await model.embed(texts, until, ticket.call, most=most)

    async def transform(
        self, rows_NC: Numbers, ticket: Ticket, *, deadline: float | None = None
    ) -> tuple[ModelRef, NDArray[np.float64]]:
        """Return the numbers of each row, float64 [N, K]; of all rows, or an error.

        Rows run in chunks, between which other callers take turns. NaN may come and go.

        Args:
            rows_NC: [N, columns]; must not change before the answer. N may be 0.
            deadline: see ``classify``; of all rows.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes no rows of numbers, or gives labels.
            InvalidTensor: the shape or type is wrong.
            Overloaded, DeadlineExceeded, InferenceFailed: see ``Model.transform``.
        """
        model = self._model_of(ticket)
        until = ticket.deadline() if deadline is None else deadline
        return model.ref, await model.transform(rows_NC, until, ticket.call)

    async def encode_texts(
        self,
        texts: Sequence[str],
        ticket: Ticket,
        *,
        form: NormalForm | None = None,
        max_tokens: int | None = None,
        offsets: bool = False,
    ) -> TokenizedTexts:
        """Return the tokens of texts as the model gets them, before padding.

        Args:
            form: instead of the model's.
            max_tokens: at most the model's, which it is if absent.
            offsets: whether offsets and tokens will be read.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            Unsupported: the model takes no text.
            TextTooLong, InvalidText: see ``text.preprocessing``; with the text's number.
            Overloaded, DeadlineExceeded, InferenceFailed: see ``Model.encode_texts``.
        """
        model = self._model_of(ticket)
        return await model.encode_texts(
            texts,
            ticket.deadline(),
            ticket.call,
            form=form,
            max_tokens=max_tokens,
            offsets=offsets,
        )

    async def classify_all(
        self, images: Sequence[bytes], ticket: Ticket, *, top_k: int
    ) -> list[Classification]:
        """Classify all images of one request, or fail as a whole.

        Raises:
            InvalidRequest: there are no images, or too many for one request.
            ModelNotFound, NotReady, and the errors of ``classify``, with an image's number.
        """
        model, most = self._model_of(ticket), self._max_tensor_batch
        trial, until = self._trial(ticket), ticket.deadline()
        with watched(trial, model):
            answers = await model.classify_all(images, top_k, until, ticket.call, most=most)
        for image, answer in zip(images, answers, strict=True):
            self._observe(model, image, answer, ticket.call)
            if trial is not None:
                trial.answered(model, answer)
        return answers

    async def infer(self, request: InferRequest, ticket: Ticket) -> InferResponse:
        """Return a model's raw output for tensors or encoded images.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
            InvalidTensor, UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded,
            DeadlineExceeded, InferenceFailed: see ``Model.infer``.
        """
        model, most = self._model_of(ticket), self._max_tensor_batch
        trial, until = self._trial(ticket), ticket.deadline()
        if trial is None:
            return await model.infer(request, until, ticket.call, most=most)
        with watched(trial, model):
            response = await model.infer(request, until, ticket.call, most=most)
        trial.answered(model, None)
        return response

    @contextmanager
    def lease(self, ticket: Ticket) -> Iterator[Ticket]:
        """Return a ticket whose model stays loaded until the block ends, even if it is replaced.

        Raises:
            ModelNotFound, NotReady: the model was unloaded since the ticket was issued.
        """
        model = self._model_of(ticket)
        with self._registry.lease(model):
            yield replace(ticket, model=model, revision=None)

    def _model_of(self, ticket: Ticket) -> Model:
        """Return the model of a ticket, or the one that replaced it since the ticket was issued."""
        registry, model = self._registry, ticket.model
        if ticket.revision is None or (ticket.revision == registry.revision and model.is_ready):
            return model
        found = registry.get(model.ref.name, ticket.version)
        if ticket.version is None and self._trials is not None:
            return self._trials.model_for(ticket.call.owner, found)
        return found

    def _observe(
        self, model: Model, image: bytes, answer: Classification, call: CallContext
    ) -> None:
        for observer in self._observers:
            observer.answered(model, image, answer, call)

    def _trial(self, ticket: Ticket) -> Trial | None:
        """Return the trial that a call is part of: it named no version."""
        if self._trials is None or ticket.version is not None:
            return None
        return self._trials.of(ticket.model.ref.name)

    async def watch(self, *, interval: float, timeout: float) -> None:
        """Run the canary of every model every ``interval`` seconds, forever."""
        while True:
            await asyncio.sleep(interval)
            for model in self._registry:
                await model.canary(timeout)
            self._registry.report_readiness()
