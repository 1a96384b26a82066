"""The tokens of texts as a model's graph takes them, without running the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from observability.request import start_span
from observability.tracing.span import Attributes, Span
from schemas.manifest.text import NormalForm, TextSpec
from service.core.engine.pool import WorkerPool
from service.core.imaging.answer import ModelRef
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import Batcher
from service.core.scheduling.call_context import CallContext
from service.core.text.preprocessing import checked, normalised
from service.core.text.tokenizer import Encoded, Tokenizer

SMALL_CHARACTERS = 4096
"""Fewer are not divided: a hand-over between threads takes as long as their tokens."""
LARGE_CHARACTERS, MOST_PARTS = 131_072, 64
"""Of a part, some tens of milliseconds, after which other callers have their turn; of a call."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTexts:
    """Texts as the graph of a model takes them, before padding.

    Attributes:
        spec: the input of the model.
        texts: in their normal form; offsets of tokens refer to them.
        encoded: the tokens of each text.
    """

    model: ModelRef
    spec: TextSpec
    texts: list[str]
    encoded: Sequence[Encoded]


class TextTokens:
    """Cuts the texts of one model into tokens, in turns with the other work of the pool."""

    def __init__(
        self,
        spec: TextSpec,
        tokenizer: Tokenizer,
        pool: WorkerPool,
        policy: BatchPolicy,
        on_reject: Callable[[str], None],
    ) -> None:
        self._spec, self._tokenizer, self._threads = spec, tokenizer, pool.size
        self._batcher: Batcher[_Task, _Done, _Done] = Batcher(
            pool,
            replace(policy, max_batch_size=1, max_queue_delay=0.0),
            self._prepare,
            _unchanged,
            on_reject=on_reject,
        )

    async def encode(
        self,
        texts: Sequence[str],
        deadline: float,
        call: CallContext,
        model: ModelRef,
        attributes: Attributes,
        *,
        form: NormalForm | None = None,
        max_tokens: int | None = None,
        offsets: bool = False,
    ) -> TokenizedTexts:
        """Return the tokens of texts.

        Args:
            deadline: on ``time.monotonic``, in seconds.
            model: for the answer; ``attributes`` for the trace.
            form: instead of the model's.
            max_tokens: at most the model's, which it is if absent.
            offsets: whether they will be read.

        Raises:
            TextTooLong, InvalidText: see ``text.preprocessing.checked``; with the text's number.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the tokenizer fails on a text.
        """
        spec = self._spec if form is None else self._spec.model_copy(update={"form": form})
        for number, text in enumerate(texts):
            checked(text, spec, number if len(texts) > 1 else None)
        with start_span("prepare", attributes) as span:
            tasks = [
                _Task(part, spec, max_tokens, offsets, span)
                for part in _parts(texts, self._threads)
            ]
            outcomes = await self._batcher.submit_all(tasks, deadline, call)
        done = [outcome.answer for outcome in outcomes]
        return TokenizedTexts(
            model,
            self._spec,
            list(chain.from_iterable(one.texts for one in done)),
            list(chain.from_iterable(one.encoded for one in done)),
        )

    async def close(self) -> None:
        """Refuse new texts, and answer the accepted ones."""
        await self._batcher.close()

    def _prepare(self, task: _Task, _: bool) -> _Done:
        began = time.perf_counter()
        texts = [normalised(text, task.spec) for text in task.texts]
        encoded = self._tokenizer.encode_all(
            texts, max_tokens=task.max_tokens, offsets=task.offsets
        )
        if span := task.span:
            span.add("queue", span.began, began)
            span.add("preprocess", began, time.perf_counter())
        return _Done(texts, encoded)


@dataclass(slots=True)
class _Task:
    texts: Sequence[str]
    spec: TextSpec
    max_tokens: int | None
    offsets: bool
    span: Span | None


@dataclass(slots=True)
class _Done:
    texts: list[str]
    encoded: Sequence[Encoded]


def _parts(texts: Sequence[str], most: int) -> list[Sequence[str]]:
    """Divide texts, in order, into parts of about as many characters each.

    Args:
        most: parts, unless they would be large.
    """
    total = sum(map(len, texts))
    count = min(most, 1 + total // SMALL_CHARACTERS)
    count = min(max(count, total // LARGE_CHARACTERS), len(texts), MOST_PARTS)
    parts: list[Sequence[str]] = []
    start, reached = 0, 0
    for number, text in enumerate(texts, 1):
        reached += len(text)
        if reached * count >= total * (len(parts) + 1) and len(parts) < count - 1:
            parts.append(texts[start:number])
            start = number
    if start < len(texts):
        parts.append(texts[start:])
    return parts


def _unchanged(done: list[_Done]) -> list[_Done]:
    return done
