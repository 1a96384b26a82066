"""One served model: its answers, checks and end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from observability.logs.logging import get_logger
from observability.metrics.model_metrics import ModelSeries
from schemas.errors import ServiceError, Unsupported
from schemas.http.inference import Datatype
from schemas.manifest.model_input import InputSpec
from schemas.manifest.text import NormalForm
from schemas.models import ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.pool import WorkerPool
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.call_context import CallContext
from service.core.serving.answers.values import ValueAnswering
from service.core.serving.checks.checks import Checks
from service.core.serving.image_tensors import ImageTensor, ImageTensors
from service.core.serving.kinds.images import ImageKind
from service.core.serving.kinds.kind import Kind
from service.core.serving.kinds.text import TextKind
from service.core.serving.text_tokens import TextTokens, TokenizedTexts
from service.core.tensors.forms import DATATYPES


class Model(ValueAnswering):
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
        super().__init__(manifest, labels, kind, engine, pool, policy, series)
        self.is_ready = False
        self._runs_seen = 0
        """Number of runs for requests at the last canary."""
        self._series = series
        self._checks = Checks(folder, manifest, len(labels), kind, engine)
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
        self._texts: TextTokens | None = None
        if isinstance(kind, TextKind):
            tokenizer, spec = kind.preprocessor.tokenizer, manifest.text_input
            self._texts = TextTokens(spec, tokenizer, pool, self.policy, series.reject)

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

    async def encode_texts(
        self,
        texts: Sequence[str],
        deadline: float,
        call: CallContext,
        *,
        form: NormalForm | None = None,
        max_tokens: int | None = None,
        offsets: bool = False,
    ) -> TokenizedTexts:
        """Return the tokens of texts, before padding; see ``TextTokens.encode``.

        Raises:
            Unsupported: the model takes no text.
            TextTooLong, InvalidText: see ``text.preprocessing``; with the text's number.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit_all``.
            InferenceFailed: the tokenizer fails on a text.
        """
        if self._texts is None:
            raise Unsupported(f"The model takes {self.manifest.input.takes}, not text.")
        return await self._texts.encode(
            texts,
            deadline,
            call,
            self.ref,
            self._attributes,
            form=form,
            max_tokens=max_tokens,
            offsets=offsets,
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one item's raw output; known after warm-up."""
        return self._engine.output_shape

    @property
    def output_datatype(self) -> Datatype:
        """Datatype of the raw output; known after warm-up."""
        return DATATYPES[self._checks.output_dtype.name]

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
        if self._texts is not None:
            await self._texts.close()
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
