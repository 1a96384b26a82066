"""The answers of one version of one model: classification and raw inference.

::

    bytes ─ prepare ─► tensor ─ batch ─► raw outputs ─ calibrate ─► probabilities ─ top k ─► answer
    window ─ normalise ───┤                   └─ as they are ─► tensors
    text ─ tokens ────────┤
    tensors, rows ────────┘
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from observability.metrics.model_metrics import ModelSeries
from observability.request import start_span
from observability.tracing.span import Attributes
from schemas.errors import InvalidRequest, ServiceError
from schemas.models import ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.pool import WorkerPool
from service.core.imaging.answer import Classification, LabelledAnswer, ModelRef
from service.core.imaging.hedging import Hedger
from service.core.imaging.presence import Presence
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.group_batching import GroupBatcher
from service.core.series.preprocessing import Samples, Window, check_window
from service.core.serving.answers.request_counter import RequestCounter
from service.core.serving.batch_executor import (
    BatchExecutor,
    Prepared,
    RowResult,
    RowTask,
    row_tasks,
)
from service.core.serving.classification import (
    Ranking,
    ranking_of,
    to_classification,
    to_labelled_answer,
)
from service.core.serving.kinds.kind import Kind
from service.core.serving.statistics import StatisticsCollector
from service.core.tensors.forms import DATATYPES, form_of
from service.core.tensors.inference import InferRequest, InferResponse
from service.core.tensors.rows import check_outputs, rows_of
from service.core.tensors.tensors import Tensor
from service.core.text.preprocessing import checked


class Answering:
    """The answers of one version. Belongs to the event loop."""

    def __init__(
        self,
        manifest: ModelManifest,
        labels: tuple[str, ...],
        kind: Kind,
        engine: Engine,
        pool: WorkerPool,
        policy: BatchPolicy,
        series: ModelSeries,
    ) -> None:
        self.manifest, self.labels = manifest, labels
        self.ref = ModelRef(manifest.name, manifest.version)
        self.form = form_of(manifest.input)
        self.statistics = StatisticsCollector()
        self._attributes: Attributes = {
            "potoo.model.name": manifest.name,
            "potoo.model.version": manifest.version,
        }
        self._kind, self._engine, self._pool = kind, engine, pool
        self._counter = RequestCounter(series, self.statistics)
        judge = _judge(manifest, labels)
        runner = BatchExecutor(manifest, kind, engine, pool, series, self.statistics, judge)
        self._executor = runner
        limit = kind.most_in_batch or engine.max_batch_size
        # The cost of a fixed batch does not depend on the number of images in it.
        self.policy = (replace(policy, max_batch_size=limit) if limit else policy).up_to(limit)
        self._batcher: GroupBatcher[RowTask, Prepared, RowResult] = GroupBatcher(
            pool,
            self.policy,
            runner.prepare_for_values if judge is None else runner.prepare,
            runner.run,
            prepare_each=runner.prepare_each if kind.prepare_each else None,
            on_depth=series.queue_depth.set,
            on_reject=series.reject,
        )

    async def classify(
        self, data: bytes, k: int, deadline: float, call: CallContext
    ) -> Classification:
        """Return labelled predictions for one encoded image.

        Args:
            k: number of predictions, at least 1; cut to the number of classes.
            deadline: on ``time.monotonic``, in seconds.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed.
            Unsupported: the model takes no images, or gives no labels.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit``.
            InferenceFailed: the model failed on this image.
        """
        began = time.monotonic()
        try:
            with start_span("classify", self._attributes) as span:
                outcome = await self._batcher.submit(RowTask(data, k, span=span), deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        self._counter.answered(began, [outcome], call.protocol, span)
        return self._labelled(outcome, began)

    def shares_base_with(self, other: Answering) -> bool:
        """Return whether ``classify_with`` can answer for the other version too."""
        return self._executor.shares_base_with(other._executor)

    async def classify_with(
        self,
        others: Sequence[Answering],
        data: bytes,
        k: int,
        deadline: float,
        call: CallContext,
    ) -> list[Classification]:
        """Return what ``classify`` returns, of this version and of others, from one run.

        Args:
            others: each shares the base of this one, and stays loaded.

        Raises:
            ServiceError: see ``classify``; of any of them.
        """
        began, answering = time.monotonic(), [self, *others]
        heads = tuple(one._executor for one in others)  # noqa: SLF001 - of this class
        try:
            with start_span("classify", self._attributes) as span:
                job = RowTask(data, k, span=span, heads=heads)
                outcome = await self._batcher.submit(job, deadline, call)
        except ServiceError:
            for one in answering:
                one.statistics.failed(time.monotonic() - began)
            raise
        answers = []
        for one, answer in zip(answering, [outcome.answer, *outcome.answer.of_heads], strict=True):
            own = replace(outcome, answer=answer)
            one._counter.answered(began, [own], call.protocol, span)  # noqa: SLF001
            answers.append(one._labelled(own, began))  # noqa: SLF001
        return answers

    async def classify_series(
        self, samples_LC: Samples, k: int, deadline: float, call: CallContext
    ) -> LabelledAnswer:
        """Return labelled predictions for one window of samples.

        Args:
            samples_LC: float32 [length, channels]; must not change before the answer.
            k: see ``classify``, as ``deadline``.

        Raises:
            Unsupported: the model takes no windows of samples, or gives no labels.
            InvalidTensor: the shape or type is wrong, or a sample is not finite and is refused.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit``.
            InferenceFailed: the model failed on this window.
        """
        began = time.monotonic()
        try:
            check_window(samples_LC, self.manifest.series_input)
            with start_span("classify", self._attributes) as span:
                job = RowTask(Window(samples_LC), k, span=span)
                outcome = await self._batcher.submit(job, deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        self._counter.answered(began, [outcome], call.protocol, span)
        return self._labelled_alone(outcome, began)

    async def classify_text(
        self, text: str, k: int, deadline: float, call: CallContext
    ) -> LabelledAnswer:
        """Return labelled predictions for one text.

        Args:
            k: see ``classify``, as ``deadline``.

        Raises:
            Unsupported: the model takes no text, or gives no labels.
            TextTooLong, InvalidText: see ``text.preprocessing``.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit``.
            InferenceFailed: the model failed on this text.
        """
        began = time.monotonic()
        try:
            self.manifest.require_labels()
            given = checked(text, self.manifest.text_input)
            with start_span("classify", self._attributes) as span:
                outcome = await self._batcher.submit(RowTask(given, k, span=span), deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        self._counter.answered(began, [outcome], call.protocol, span)
        return self._labelled_alone(outcome, began)

    async def classify_series_each(
        self, windows: Sequence[Samples], k: int, deadline: float, calls: Sequence[CallContext]
    ) -> list[Ranking | ServiceError]:
        """Rank the labels for windows of several callers; each has its answer or its error.

        Args:
            windows: see ``classify_series``, as ``deadline``; not traced.
            k: number of labels to rank, at least 1; cut to the number of classes.
            calls: one for each window.

        Raises:
            Unsupported: the model takes no windows of samples.
            NotReady: the model is being stopped.
        """
        self.manifest.require_labels()
        began, spec = time.monotonic(), self.manifest.series_input
        errors: dict[int, ServiceError] = {}
        for number, samples_LC in enumerate(windows):
            try:
                check_window(samples_LC, spec)
            except ServiceError as error:
                errors[number] = error
        fitting = [number for number in range(len(windows)) if number not in errors]
        found: list[Outcome[RowResult] | ServiceError] = []
        if fitting:
            jobs = [RowTask(Window(windows[number]), k) for number in fitting]
            found = await self._batcher.submit_each(
                jobs, deadline, [calls[number] for number in fitting]
            )
        self._counter.answered_each(found, calls, time.monotonic() - began)
        for _ in errors:
            self.statistics.failed(time.monotonic() - began)
        results, offset = iter(found), self.manifest.output.label_offset
        return [
            errors[number] if number in errors else ranking_of(next(results), self.labels, offset)
            for number in range(len(windows))
        ]

    async def classify_all(
        self, images: Sequence[bytes], k: int, deadline: float, call: CallContext, *, most: int
    ) -> list[Classification]:
        """Classify all images of one request, or fail as a whole.

        Args:
            most: the maximum number of images in one request.

        Raises:
            InvalidRequest: there are no images, or too many.
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed; with the image's number.
            Overloaded, DeadlineExceeded, NotReady, InferenceFailed: see ``classify``.
        """
        began = time.monotonic()
        most = min(most, self.policy.queue_capacity)
        if not 1 <= len(images) <= most:
            message = f"1 to {most} images are taken in one request, not {len(images)}."
            raise InvalidRequest(message)
        try:
            with start_span("classify", self._attributes) as span:
                jobs = row_tasks(images, k, span)
                outcomes = await self._batcher.submit_all(jobs, deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        self._counter.answered(began, outcomes, call.protocol, span)
        return [self._labelled(outcome, began) for outcome in outcomes]

    def admit(self, allowed: float, call: CallContext) -> None:
        """Raise an error that ``classify`` would raise at once; see ``Batcher.admit``."""
        self._batcher.admit(allowed, call)

    async def infer(
        self, request: InferRequest, deadline: float, call: CallContext, *, most: int
    ) -> InferResponse:
        """Return the graph's raw output for tensors, or for encoded images or texts in BYTES.

        Args:
            deadline: on ``time.monotonic``, in seconds.
            most: the maximum number of items in one request.

        Raises:
            InvalidTensor: the tensors do not fit the model.
            Unsupported: images for a model that takes something else.
            TextTooLong, InvalidText: see ``text.preprocessing``.
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the model failed on this input.
        """
        began, manifest = time.monotonic(), self.manifest
        try:
            check_outputs(request.outputs, manifest.output)
            rows = rows_of(request, self.form, min(most, self.policy.queue_capacity))
            with start_span("infer", self._attributes) as span:
                jobs = row_tasks(rows, 0, span)
                outcomes = await self._batcher.submit_all(jobs, deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        spec = manifest.output
        output_NK = self._kind.joined([outcome.answer.output_K for outcome in outcomes])
        array = output_NK.reshape(-1, *self._engine.output_shape)
        output = Tensor(spec.name, DATATYPES[array.dtype.name], array)
        self._counter.answered(began, outcomes, call.protocol, span, items=len(output_NK))
        return InferResponse(self.ref, (output,), request.id, self.labels, spec.label_offset)

    def _labelled(self, outcome: Outcome[RowResult], began: float) -> Classification:
        """Build the classification of one image; count an abstention."""
        answer = to_classification(outcome, self.manifest, self.labels, began)
        if answer.abstained:
            self._counter.abstained()
        return answer

    def _labelled_alone(self, outcome: Outcome[RowResult], began: float) -> LabelledAnswer:
        """Build the answer for a window or a text; count an abstention."""
        answer = to_labelled_answer(outcome, self.manifest, self.labels, began)
        if answer.abstained:
            self._counter.abstained()
        return answer


def _judge(manifest: ModelManifest, labels: tuple[str, ...]) -> Hedger | Presence | None:
    """Return what chooses labels by their scores; None if there are no labels."""
    if manifest.output.kind == "values":
        return None
    if manifest.output.kind == "sigmoid":
        return Presence(manifest.output, labels)
    return Hedger(manifest, labels)
