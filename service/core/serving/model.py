"""One served model: manifest, preprocessor, engine and batcher, tied together.

::

    bytes ─ prepare ─► tensor ─ batch ─► raw outputs ─ calibrate ─► probabilities ─ top k ─► answer
    window ─ normalise ───┤                   └─ as they are ─► tensors
    tensors ─ rows ───────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from observability.logs.logging import get_logger
from observability.metrics.model_metrics import ModelSeries
from observability.request import start_span
from observability.tracing.span import Attributes, Span
from schemas.errors import InvalidRequest, ServiceError, Unsupported
from schemas.inference import Datatype
from schemas.model_input import InputSpec
from schemas.models import ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.pool import WorkerPool
from service.core.imaging.answer import Classification, ModelRef, SeriesAnswer
from service.core.imaging.hedging import Hedger
from service.core.imaging.presence import Presence
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import Batcher
from service.core.scheduling.call_context import CallContext
from service.core.series.preprocessing import Samples, Window, check_window
from service.core.serving.batch_executor import (
    BatchExecutor,
    Prepared,
    RowResult,
    RowTask,
    row_tasks,
)
from service.core.serving.checks import Checks
from service.core.serving.classification import (
    Ranking,
    ranking_of,
    to_classification,
    to_series_answer,
)
from service.core.serving.image_tensors import ImageTensor, ImageTensors
from service.core.serving.kinds.images import ImageKind
from service.core.serving.kinds.kind import Kind
from service.core.serving.statistics import RequestDurations, StatisticsCollector
from service.core.tensors.inference import InferRequest, InferResponse
from service.core.tensors.rows import check_outputs, rows_of
from service.core.tensors.tensors import Tensor


class Model:
    """One version of one model, in service. Built by ``loading.load_model``, on any thread."""

    def __init__(
        self,
        folder: Path,
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
        self._attributes: Attributes = {
            "potoo.model.name": manifest.name,
            "potoo.model.version": manifest.version,
        }
        self.is_ready = False
        self.statistics = StatisticsCollector()
        self._runs_seen = 0
        """Number of runs for requests at the last canary."""
        self._engine, self._pool, self._series = engine, pool, series
        self._checks = Checks(folder, manifest, len(labels), kind, engine)
        is_multi_label = manifest.output.kind == "sigmoid"
        judge = Presence(manifest.output, labels) if is_multi_label else Hedger(manifest, labels)
        runner = BatchExecutor(manifest, kind, engine, pool, series, self.statistics, judge)
        limit = engine.max_batch_size
        # The cost of a fixed batch does not depend on the number of images in it.
        self.policy = (replace(policy, max_batch_size=limit) if limit else policy).up_to(limit)
        self._batcher: Batcher[RowTask, Prepared, RowResult] = Batcher(
            pool,
            self.policy,
            runner.prepare,
            runner.run,
            on_depth=series.queue_depth.set,
            on_reject=series.reject,
        )
        self._tensors: ImageTensors | None = None
        if isinstance(kind, ImageKind) and isinstance(manifest.input, InputSpec):
            self._tensors = ImageTensors(
                manifest.input,
                kind.decode,
                pool,
                self.policy,
                series.reject,
                takes_pixels=engine.takes_pixels,
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
            Unsupported: the model takes windows of samples.
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
        self._count(began, [outcome], call.protocol, span)
        return self._labelled(outcome, began)

    async def classify_series(
        self, samples_LC: Samples, k: int, deadline: float, call: CallContext
    ) -> SeriesAnswer:
        """Return labelled predictions for one window of samples.

        Args:
            samples_LC: float32 [length, channels]; must not change before the answer.
            k: see ``classify``, as ``deadline``.

        Raises:
            Unsupported: the model takes images.
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
        self._count(began, [outcome], call.protocol, span)
        answer = to_series_answer(outcome, self.manifest, self.labels, began)
        if answer.abstained:
            self._series.abstentions.inc()
        return answer

    async def classify_series_each(
        self, windows: Sequence[Samples], k: int, deadline: float, calls: Sequence[CallContext]
    ) -> list[Ranking | ServiceError]:
        """Rank the labels for windows of several callers; each has its answer or its error.

        Args:
            windows: see ``classify_series``, as ``deadline``; not traced.
            k: number of labels to rank, at least 1; cut to the number of classes.
            calls: one for each window.

        Raises:
            Unsupported: the model takes images.
            NotReady: the model is being stopped.
        """
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
        self._count_each(found, calls, time.monotonic() - began)
        for _ in errors:
            self.statistics.failed(time.monotonic() - began)
        results, offset = iter(found), self.manifest.output.label_offset
        return [
            errors[number] if number in errors else ranking_of(next(results), self.labels, offset)
            for number in range(len(windows))
        ]

    def _count_each(
        self,
        found: Sequence[Outcome[RowResult] | ServiceError],
        calls: Sequence[CallContext],
        seconds: float,
    ) -> None:
        """Count requests that were answered together, after so many seconds."""
        series, courses, abstained = self._series, [], 0
        queue = series.stages["queue"]
        for one in found:
            if isinstance(one, ServiceError):
                self.statistics.failed(seconds)
                continue
            answer = one.answer
            reading = answer.reading_seconds
            abstained += answer.summary is None and not answer.present
            queue.observe(one.queue_seconds, None)
            courses.append(
                RequestDurations(
                    seconds,
                    one.queue_seconds,
                    answer.preparing_seconds,
                    one.run_seconds - reading,
                    reading,
                )
            )
        self.statistics.succeeded_each(courses)
        # Callers of one kind: windows come from the intake of sensors alone.
        series.predictions(calls[0].protocol).inc(len(courses))
        if abstained:
            series.abstentions.inc(abstained)

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
        self._count(began, outcomes, call.protocol, span)
        return [self._labelled(outcome, began) for outcome in outcomes]

    async def image_tensor(self, data: bytes, deadline: float, call: CallContext) -> ImageTensor:
        """Return the tensor that the graph takes for one encoded image.

        Args:
            deadline: on ``time.monotonic``, in seconds.

        Raises:
            Unsupported: the model takes no images.
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit``.
        """
        if self._tensors is None:
            raise Unsupported("This model takes no images.")
        return await self._tensors.prepare(data, deadline, call, self.ref, self._attributes)

    def admit(self, allowed: float, call: CallContext) -> None:
        """Raise an error that ``classify`` would raise at once; see ``Batcher.admit``."""
        self._batcher.admit(allowed, call)

    async def infer(
        self, request: InferRequest, deadline: float, call: CallContext, *, most: int
    ) -> InferResponse:
        """Return the graph's raw output for tensors, or for encoded images in a BYTES tensor.

        Args:
            deadline: on ``time.monotonic``, in seconds.
            most: the maximum number of items in one request.

        Raises:
            InvalidTensor: the tensors do not fit the model.
            Unsupported: images for a model that takes windows of samples.
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the model failed on this input.
        """
        began, manifest = time.monotonic(), self.manifest
        try:
            check_outputs(request.outputs, manifest.output)
            rows = rows_of(request, manifest.input, min(most, self.policy.queue_capacity))
            with start_span("infer", self._attributes) as span:
                jobs = row_tasks(rows, 0, span)
                outcomes = await self._batcher.submit_all(jobs, deadline, call)
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        spec = manifest.output
        output_NK = np.stack([outcome.answer.output_K for outcome in outcomes])
        output = Tensor(spec.name, Datatype.FP32, output_NK.reshape(-1, *self._engine.output_shape))
        self._count(began, outcomes, call.protocol, span)
        return InferResponse(self.ref, (output,), request.id, self.labels, spec.label_offset)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one item's raw output; known after warm-up."""
        return self._engine.output_shape

    def warm_up(self) -> None:
        """Run the model, and refuse it if its answers do not fit the manifest. Blocks.

        Raises:
            ManifestMismatch, ServiceError: see ``Checks.warm_up``.
        """
        self._checks.warm_up()
        self._engine.shrink()  # the checks run other inputs than requests
        self._series.info.set(1)
        self.set_ready(ready=True)

    async def canary(self, timeout: float) -> bool:
        """Run the canary within ``timeout`` seconds, set readiness, and return whether it passed.

        It passes if the answer is the same as at warm-up. It runs on the worker pool, so a stuck
        pool is noticed too. Changes are logged. Without a request since the last canary, the
        memory that runs keep is freed.
        """
        reason = "its output differs from that at warm-up"
        try:
            passed = await asyncio.wait_for(self._pool.run(self._passes_canary), timeout)
        except TimeoutError:
            passed, reason = False, f"no answer within {timeout:g} s"
        if passed != self.is_ready:
            log = get_logger("models").bind(model=self.ref.name, version=self.ref.version)
            if passed:
                log.info("canary passes again")
            else:
                log.error("canary failed: not ready", reason=reason)
        self.set_ready(ready=passed)
        return passed

    def set_ready(self, *, ready: bool) -> None:
        """Set readiness, which the registry reports to the metrics."""
        self.is_ready = ready

    async def close(self) -> None:
        """Answer accepted requests, then free the memory."""
        await self.drain()
        self.release()

    async def drain(self) -> None:
        """Refuse new requests, and answer the accepted ones."""
        await self._batcher.close()
        if self._tensors is not None:
            await self._tensors.close()
        self.set_ready(ready=False)

    def release(self) -> None:
        """Free the memory of a drained model. Blocks; any thread may call."""
        self._engine.close()
        self._series.info.set(0)

    def _passes_canary(self) -> bool:
        passes, runs = self._checks.passes_canary(), self.statistics.execution_count
        if runs == self._runs_seen:
            with contextlib.suppress(ServiceError):  # the next canary reports it
                self._engine.shrink()
        self._runs_seen = runs
        return passes

    def _count(
        self, began: float, outcomes: list[Outcome[RowResult]], protocol: str, span: Span | None
    ) -> None:
        """Count an answered request."""
        series, count = self._series, len(outcomes)
        exemplar = span.exemplar if span else None
        for outcome in outcomes:
            series.stages["queue"].observe(outcome.queue_seconds, exemplar)
        series.predictions(protocol).inc(count)
        slowest = outcomes[0] if count == 1 else max(outcomes, key=_seconds_of)
        reading = slowest.answer.reading_seconds
        self.statistics.succeeded(
            RequestDurations(
                time.monotonic() - began,
                slowest.queue_seconds,
                slowest.answer.preparing_seconds,
                slowest.run_seconds - reading,
                reading,
            ),
            items=count,
        )

    def _labelled(self, outcome: Outcome[RowResult], began: float) -> Classification:
        """Build the classification of one image; count an abstention."""
        answer = to_classification(outcome, self.manifest, self.labels, began)
        if answer.abstained:
            self._series.abstentions.inc()
        return answer


def _seconds_of(outcome: Outcome[RowResult]) -> float:
    return outcome.queue_seconds + outcome.answer.preparing_seconds + outcome.run_seconds
