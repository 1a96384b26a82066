"""The tensor of an image as a model's graph takes it, without running the model.

The model's own preprocessor prepares the image. Where the engine normalises (``pixel_prefix``), it
stops at pixels; the rest is computed here with the arithmetic of the prefix, whose answers were
compared with those to tensors when the model was loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from observability.request import start_span
from observability.tracing.span import Attributes, Span
from schemas.manifest.model_input import InputSpec
from service.core.engine.engine import Images
from service.core.engine.pool import WorkerPool
from service.core.imaging.answer import ModelRef
from service.core.imaging.preprocessing import PreparedImage, Preprocessor, TensorConverter
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.scheduling.batching import Batcher
from service.core.scheduling.call_context import CallContext


@dataclass(frozen=True, slots=True, eq=False)
class ImageTensor:
    """An image as the graph of a model takes it.

    Attributes:
        spec: the input of the model.
        tensor: a batch of one: [1, C, H, W] or [1, H, W, C] of the manifest's layout and dtype,
            C-contiguous, owned by the caller.
        levels: what each level 0..255 of each channel becomes, float32 [C, 256], in the order of
            the channels.
        format: of the encoded image; with its width and height in pixels, as seen upright.
        is_truncated: whether the end of the file, and thus very few pixels, was missing.
    """

    model: ModelRef
    spec: InputSpec
    tensor: Images
    levels: NDArray[np.float32]
    format: str
    width: int
    height: int
    is_truncated: bool


class ImageTensors:
    """Prepares the images of one model, in turns with the other work of the pool."""

    def __init__(
        self,
        spec: InputSpec,
        preprocess: Preprocessor,
        pool: WorkerPool,
        policy: BatchPolicy,
        on_reject: Callable[[str], None],
        *,
        takes_pixels: bool,
    ) -> None:
        """``takes_pixels``: ``preprocess`` leaves normalising to the engine."""
        self._spec, self._preprocess = spec, preprocess
        self._convert = TensorConverter(spec) if takes_pixels else None
        self._levels = (self._convert or preprocess.converter).levels
        self._batcher: Batcher[_Task, PreparedImage, PreparedImage] = Batcher(
            pool,
            replace(policy, max_batch_size=1, max_queue_delay=0.0),
            self._prepare,
            _unchanged,
            on_reject=on_reject,
        )

    async def prepare(
        self,
        data: bytes,
        deadline: float,
        call: CallContext,
        model: ModelRef,
        attributes: Attributes,
    ) -> ImageTensor:
        """Return the tensor of one encoded image.

        Args:
            deadline: on ``time.monotonic``, in seconds.
            model: for the answer; ``attributes`` for the trace.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge: decoding failed.
            Overloaded, DeadlineExceeded, NotReady: see ``Batcher.submit``.
        """
        with start_span("prepare", attributes) as span:
            outcome = await self._batcher.submit(_Task(data, span), deadline, call)
        image = outcome.answer
        return ImageTensor(
            model,
            self._spec,
            image.tensor[np.newaxis],
            self._levels,
            image.format,
            image.width,
            image.height,
            image.is_truncated,
        )

    async def close(self) -> None:
        """Refuse new images, and answer the accepted ones."""
        await self._batcher.close()

    def _prepare(self, task: _Task, may_be_slow: bool) -> PreparedImage:
        began = time.perf_counter()
        image = self._preprocess(task.data, may_be_slow=may_be_slow)
        if self._convert is not None:
            image = replace(image, tensor=self._convert(image.tensor.view(np.uint8)))
        if span := task.span:
            decoded = began + image.decode_seconds
            span.add("queue", span.began, began)
            span.add("decode", began, decoded)
            span.add("preprocess", decoded, time.perf_counter())
        return image


@dataclass(slots=True)
class _Task:
    data: bytes
    span: Span | None


def _unchanged(images: list[PreparedImage]) -> list[PreparedImage]:
    return images
