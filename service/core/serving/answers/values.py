"""The answers of models that give numbers without labels: embeddings and transformed rows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from observability.request import start_span
from schemas.errors import InferenceFailed, InvalidRequest, ServiceError
from service.core.numeric.rows import Numbers, check_rows, chunks
from service.core.scheduling.batch_item import Outcome
from service.core.scheduling.call_context import CallContext
from service.core.serving.answers.answering import Answering
from service.core.serving.batch_executor import RowResult, row_tasks
from service.core.text.preprocessing import checked

CHUNKS_A_THREAD = 2
"""Chunks of one call that wait or run at once, for each thread: none is idle, and memory and the
queue are not filled by one caller."""


class ValueAnswering(Answering):
    """The answers of one version, for models that give numbers too."""

    async def embed(
        self, texts: Sequence[str], deadline: float, call: CallContext, *, most: int
    ) -> NDArray[np.float32]:
        """Return the numbers of each text, [N, D]; all of them, or an error.

        Args:
            most: the maximum number of texts in one request.

        Raises:
            Unsupported: the model takes no text, or gives labels.
            InvalidRequest: there are no texts, or too many.
            TextTooLong, InvalidText: see ``text.preprocessing``; with the text's number.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the model failed, or a number is not finite.
        """
        began, spec = time.monotonic(), self.manifest.text_input
        most = min(most, self.policy.queue_capacity)
        try:
            self.manifest.require_values()
            if not 1 <= len(texts) <= most:
                message = f"1 to {most} texts are taken in one request, not {len(texts)}."
                raise InvalidRequest(message)
            given = [checked(text, spec, number) for number, text in enumerate(texts)]
            with start_span("embed", self._attributes) as span:
                jobs = row_tasks(given, 0, span)
                outcomes = await self._batcher.submit_all(jobs, deadline, call)
            found_ND = self._kind.joined([outcome.answer.output_K for outcome in outcomes])
            if not np.isfinite(found_ND).all():
                raise InferenceFailed
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        self._counter.answered(began, outcomes, call.protocol, span)
        return found_ND.astype(np.float32, copy=False)

    async def transform(
        self, rows_NC: Numbers, deadline: float, call: CallContext
    ) -> NDArray[np.float64]:
        """Return the numbers of each row, [N, K]; of all rows, or an error.

        Rows run in chunks, between which other callers take turns.

        Args:
            rows_NC: [N, columns]; must not change before the answer. N may be 0.

        Raises:
            Unsupported: the model takes no rows of numbers, or gives labels.
            InvalidTensor: the shape or type is wrong.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the model failed.
        """
        began, spec = time.monotonic(), self.manifest.numeric_input
        found_NK = np.empty((len(rows_NC), math.prod(self._engine.output_shape)), np.float64)
        outcomes: list[Outcome[RowResult]] = []
        try:
            self.manifest.require_values()
            check_rows(rows_NC, spec)
            with start_span("transform", self._attributes) as span:
                waiting, done = chunks(rows_NC, spec), 0
                together = self._chunks_together()
                for first in range(0, len(waiting), together):
                    jobs = row_tasks(waiting[first : first + together], 0, span)
                    for outcome in await self._batcher.submit_all(jobs, deadline, call):
                        output_MK = outcome.answer.output_K
                        found_NK[done : done + len(output_MK)] = output_MK
                        done += len(output_MK)
                        outcomes.append(_without_output(outcome))
        except ServiceError:
            self.statistics.failed(time.monotonic() - began)
            raise
        if outcomes:
            self._counter.answered(began, outcomes, call.protocol, span, items=len(rows_NC))
        return found_NK

    def _chunks_together(self) -> int:
        """Return how many chunks of one call wait or run at once."""
        return max(1, min(CHUNKS_A_THREAD * self._pool.size, self.policy.queue_capacity))


def _without_output(outcome: Outcome[RowResult]) -> Outcome[RowResult]:
    """Free an output that was copied, and keep the times."""
    outcome.answer.output_K = _NOTHING
    return outcome


_NOTHING = np.empty(0)
