"""Preparation of rows and execution of batches for one model, on the pool's threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from observability.metrics.model_metrics import ModelSeries
from observability.request import items_of
from observability.tracing.span import Span
from schemas.errors import CallerError
from schemas.models import ModelManifest
from service.core.engine.engine import Engine, Images, Outputs
from service.core.engine.pool import WorkerPool
from service.core.engine.shared_base import HeadEngine
from service.core.imaging.answer import Summary
from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import is_small, probabilities, top_k, top_k_each
from service.core.imaging.preprocessing import PreparedImage
from service.core.imaging.presence import Presence
from service.core.numeric.rows import Rows
from service.core.series.preprocessing import Window
from service.core.serving.kinds.kind import Kind, Part, Source, in_order
from service.core.serving.statistics import StatisticsCollector
from service.core.tensors.forms import Row
from service.core.text.preprocessing import Text

Sample = Window | Rows | Text
"""An item that is neither an encoded image nor a tensor; of the model's own kind."""
SHOWN_WAIT = 0.0001
"""Seconds between preparation and run above which a ``batching`` span is recorded."""


@dataclass(slots=True)
class RowTask:
    """One row, and the number of best classes requested; 0 for only the raw output.

    ``number``: index of the row in its request, for messages. ``span``: records its stages if the
    request is traced.
    """

    row: Row | Window
    top_k: int = 0
    number: int | None = None
    span: Span | None = None
    heads: tuple[BatchExecutor, ...] = ()
    """Of further versions that are to answer from the same features; see ``HeadEngine``."""


def row_tasks(rows: Sequence[Row], top_k: int, span: Span | None) -> list[RowTask]:
    """Build numbered jobs from the rows of one request; ``span``: the request's, if traced."""
    spans = items_of(span, len(rows))
    return [RowTask(row, top_k, number, spans[number]) for number, row in enumerate(rows)]


@dataclass(slots=True)
class Prepared:
    """A row ready to run; ``source``: None if the row was a tensor."""

    tensor: Images
    source: Source | None
    top_k: int
    span: Span | None = None
    block: Images | None = None
    """Tensors of the items that were prepared with this one, [N, ...]: its own is a view of it."""
    heads: tuple[BatchExecutor, ...] = ()
    """See ``RowTask``."""


@dataclass(slots=True)
class RowResult:
    """A row's raw output; classes and scores only if ``top_k`` was requested.

    ``output_K``: of a chunk of rows [N, K].
    """

    source: Source | None
    output_K: Outputs
    indices: list[int]
    scores: list[float]
    summary: Summary | None = None
    present: list[int] | None = None
    """Indices of the labels that reach their thresholds, best first; of multi-label models."""
    reading_seconds: float = 0.0
    """Postprocessing time of the whole batch."""
    of_heads: list[RowResult] = field(default_factory=list)
    """The results of ``RowTask.heads``, in that order."""

    @property
    def preparing_seconds(self) -> float:
        """Decoding and preprocessing time; 0 for a tensor."""
        source = self.source
        return source.decode_seconds + source.preprocess_seconds if source else 0.0


def _block_of(batch: list[Prepared]) -> list[Part]:
    """Return the items as they were prepared, if they are all of one step; else nothing."""
    block = batch[0].block
    if block is None or len(block) != len(batch) or any(one.block is not block for one in batch):
        return []
    return [Part(block, list(range(len(batch))))]


class BatchExecutor:
    """The ``prepare`` and ``run`` of a ``Batcher``; tensors may share a batch with other rows."""

    def __init__(
        self,
        manifest: ModelManifest,
        kind: Kind,
        engine: Engine,
        pool: WorkerPool,
        series: ModelSeries,
        statistics: StatisticsCollector,
        judge: Hedger | Presence | None,
    ) -> None:
        """``judge``: None if the output is numbers without labels."""
        self._manifest, self._judge = manifest, judge
        self._kind, self._decode = kind, kind.decode
        self._headed = engine if isinstance(engine, HeadEngine) else None
        self._engine, self._pool = engine, pool
        self._series, self._statistics = series, statistics

    def prepare_for_values(self, job: RowTask, may_be_slow: bool) -> Prepared:
        """Prepare a row as ``prepare`` does, for a model without labels.

        Raises:
            Unsupported: labels are asked for.
        """
        if job.top_k:
            self._manifest.require_labels()
        return self.prepare(job, may_be_slow)

    def prepare(self, job: RowTask, may_be_slow: bool) -> Prepared:
        """Decode and preprocess an image or a window; a tensor is passed on as it is.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge, SlowWork, Unsupported: see
            ``Kind.decode``.
            InvalidTensor: see ``Kind.prepare``.
        """
        span, began = job.span, time.perf_counter()
        if not isinstance(job.row, bytes):
            if not isinstance(job.row, np.ndarray):
                return self._prepare_sample(job, job.row, began)
            if span:
                span.add("queue", span.began, began)
            return Prepared(job.row, None, job.top_k, span)
        try:
            image = self._decode(job.row, may_be_slow=may_be_slow)
        except CallerError as error:
            if span:
                span.add("queue", span.began, began)
                span.add("decode", began, time.perf_counter(), error=error.code)
            if job.number is None:
                raise
            raise type(error)(f"Image {job.number}: {error.detail}") from error
        stages = self._series.stages
        exemplar = None
        if span:
            _tell_prepared(span, began, image)
            exemplar = span.exemplar
        stages["decode"].observe(image.decode_seconds, exemplar)
        stages["preprocess"].observe(image.preprocess_seconds, exemplar)
        return Prepared(image.tensor, image, job.top_k, span, heads=job.heads)

    def _prepare_sample(self, job: RowTask, sample: Sample, began: float) -> Prepared:
        span, exemplar = job.span, None
        try:
            prepared = self._kind.prepare(sample)
        except CallerError as error:
            if span:
                span.add("queue", span.began, began)
                span.add("preprocess", began, time.perf_counter(), error=error.code)
            if job.number is None:
                raise
            subject = f"{self._kind.item.capitalize()} {job.number}"
            raise type(error)(f"{subject}: {error.detail}") from error
        if span:
            span.add("queue", span.began, began)
            span.add("preprocess", began, began + prepared.preprocess_seconds)
            exemplar = span.exemplar
        self._series.stages["preprocess"].observe(prepared.preprocess_seconds, exemplar)
        return Prepared(prepared.tensor, prepared, job.top_k, span)

    def prepare_each(self, jobs: Sequence[RowTask]) -> list[Prepared | Exception]:
        """Preprocess samples, in few steps for all; each is ready to run, or has its error.

        They are not traced. The kind has ``Kind.prepare_each``.
        """
        assert self._kind.prepare_each is not None  # noqa: S101 - else there are no groups
        block, errors = self._kind.prepare_each([job.row for job in jobs])
        self._series.stages["preprocess"].observe_each(block.preprocess_seconds, len(jobs))
        rows = iter(block.tensor)
        return [
            errors.get(number) or Prepared(next(rows), block, job.top_k, block=block.tensor)
            for number, job in enumerate(jobs)
        ]

    def run(self, batch: list[Prepared]) -> list[RowResult]:
        """Run a batch and return its answers in order.

        Raises:
            InferenceFailed: the runtime failed, or an output to be classified is not finite.
        """
        began = time.perf_counter()
        parts = _block_of(batch) or self._kind.stack([item.tensor for item in batch])
        put = time.perf_counter()
        output_NK = features_ND = self._outputs(parts)
        if self._headed is not None:
            output_NK = self._headed.outputs(features_ND)
        ran = time.perf_counter()
        answers = self._answers(batch, output_NK)
        if self._headed is not None:
            _answer_heads(batch, answers, features_ND)
        got = time.perf_counter()
        for answer in answers:
            answer.reading_seconds = got - ran
        exemplar = None
        for span in [item.span for item in batch if item.span]:
            _tell_run(span, began, put, ran, got, len(batch))
            exemplar = span.exemplar
        stages = self._series.stages
        stages["inference"].observe(ran - put, exemplar)
        stages["postprocess"].observe(got - ran, exemplar)
        self._series.batch_size.observe(len(batch))
        self._statistics.executed(len(batch), put - began, ran - put, got - ran)
        return answers

    def answers_from(self, batch: list[Prepared], features_ND: Outputs) -> list[RowResult]:
        """Return the answers of this version from the features of a base that it shares.

        Raises:
            InferenceFailed: the runtime failed, or an output is not finite.
        """
        assert self._headed is not None  # noqa: S101 - ``shares_base_with`` was asked before
        return self._answers(batch, self._headed.outputs(features_ND))

    def shares_base_with(self, other: BatchExecutor) -> bool:
        """Return whether one run of a base serves both versions."""
        headed, others = self._headed, other._headed
        return headed is not None and others is not None and headed.base is others.base

    def _outputs(self, parts: list[Part]) -> Outputs:
        """Run the parts of a batch; return the outputs in the order of the batch.

        Of an engine with a head: the features.
        """
        alone = self._pool.has_one_job
        engine = self._engine if self._headed is None else self._headed.base
        outputs = [engine.run(part.images, alone=alone) for part in parts]
        return in_order(parts, outputs)

    def _answers(self, batch: list[Prepared], output_NK: Outputs) -> list[RowResult]:
        """Build answers with raw outputs, and with best classes where requested."""
        answers = [
            RowResult(item.source, output_K, [], [])
            for item, output_K in zip(batch, self._kind.each(output_NK), strict=True)
        ]
        asked = [number for number, item in enumerate(batch) if item.top_k]
        if asked:
            output_MK = output_NK if len(asked) == len(batch) else output_NK[asked]
            manifest = self._manifest
            shares_MK = probabilities(output_MK, manifest.output, manifest.temperature)
            judge = self._judge
            if isinstance(judge, Hedger) and judge.is_flat and is_small(shares_MK):
                _rank_together(
                    [answers[number] for number in asked],
                    [batch[number].top_k for number in asked],
                    shares_MK,
                    judge,
                )
                return answers
            for number, shares_K in zip(asked, shares_MK, strict=True):
                best = top_k(shares_K, batch[number].top_k)
                answers[number].indices = best.tolist()
                answers[number].scores = shares_K[best].tolist()
                if isinstance(self._judge, Hedger):
                    answers[number].summary = self._judge.summary(shares_K)
                elif self._judge is not None:
                    answers[number].present = self._judge.present(shares_K)
        return answers


def _answer_heads(
    batch: Sequence[Prepared], answers: Sequence[RowResult], features_ND: Outputs
) -> None:
    """Fill in the results of further heads: each head runs once for all items that ask for it."""
    asked: dict[BatchExecutor, list[int]] = {}
    for number, item in enumerate(batch):
        for head in item.heads:
            asked.setdefault(head, []).append(number)
    found: dict[tuple[int, BatchExecutor], RowResult] = {}
    for head, numbers in asked.items():
        items = [batch[number] for number in numbers]
        results = head.answers_from(items, features_ND[numbers])
        found.update(((number, head), one) for number, one in zip(numbers, results, strict=True))
    for number, item in enumerate(batch):
        if item.heads:
            answers[number].of_heads = [found[number, head] for head in item.heads]


def _rank_together(
    answers: Sequence[RowResult], ks: Sequence[int], shares_NK: Outputs, judge: Hedger
) -> None:
    """Fill in the best classes of rows that are small, in few calls for all."""
    best_NK = top_k_each(shares_NK, max(ks))
    scores_NK = np.take_along_axis(shares_NK, best_NK, axis=1)
    for answer, k, best, scores in zip(
        answers, ks, best_NK.tolist(), scores_NK.tolist(), strict=True
    ):
        answer.indices, answer.scores = best[:k], scores[:k]
        answer.summary = judge.summary_of(best[0], scores[0])


def _tell_prepared(span: Span, began: float, image: PreparedImage) -> None:
    decoded = began + image.decode_seconds
    span.add("queue", span.began, began)
    span.add("decode", began, decoded)
    span.add("preprocess", decoded, decoded + image.preprocess_seconds)


def _tell_run(span: Span, began: float, put: float, ran: float, got: float, size: int) -> None:
    """Record the stages of a run of ``size`` items in the span of one item."""
    ready = span.last
    if began - ready > SHOWN_WAIT:
        span.add("batching", ready, began)
    span.add("inference", put, ran, {"potoo.batch.size": size})
    span.add("postprocess", ran, got)
