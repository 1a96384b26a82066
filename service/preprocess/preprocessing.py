"""The objects that transports use to prepare items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observability.metrics.preprocess_metrics import PreprocessMetrics
from schemas.preprocess.text import PrepareTextOptions
from service.core.engine.pool import WorkerPool
from service.core.serving.classifier import Classifier
from service.core.serving.image_tensors import ImageTensor
from service.core.serving.ticket import Ticket
from service.preprocess.images.view import to_png
from service.preprocess.numbers import NumberScaling, ScaledRows, Scaling
from service.preprocess.numeric.rows import RowLimits, Rows
from service.preprocess.text.prepared import PreparedTexts, check_texts, hashed, prepared
from service.settings.preprocess import PreprocessSettings


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Prepares items within limits, and counts them."""

    settings: PreprocessSettings
    classifier: Classifier
    pool: WorkerPool
    metrics: PreprocessMetrics

    @property
    def numbers(self) -> NumberScaling:
        """The scaling of rows of numbers, which are not counted."""
        limits = RowLimits(
            self.settings.max_rows, self.settings.max_columns, self.settings.max_cell_characters
        )
        return NumberScaling(self.classifier, self.pool, limits)

    async def numeric(
        self, read: Callable[[], Rows], size: int, how: Scaling, ticket: Ticket | None
    ) -> ScaledRows:
        """Prepare rows of numbers; see ``NumberScaling.prepare``."""
        with self.metrics.item("numeric"):
            return await self.numbers.prepare(read, size, how, ticket)

    async def image(self, data: bytes, ticket: Ticket) -> ImageTensor:
        """Prepare an image as the model of the ticket takes it.

        Raises:
            Unsupported: the model takes no images.
            ModelNotFound, NotReady, UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded,
            DeadlineExceeded: see ``Classifier.image_tensor``.
        """
        with self.metrics.item("image"):
            return await self.classifier.image_tensor(data, ticket)

    async def texts(
        self, texts: Sequence[str], options: PrepareTextOptions, ticket: Ticket | None
    ) -> PreparedTexts:
        """Prepare texts as the model of the ticket takes them, or hash their n-grams.

        Args:
            ticket: None for the method ``hash``.

        Raises:
            PayloadTooLarge: too many texts, a text is too long, or the vectors are too large.
            Unsupported: the model takes no text.
            InvalidText: a text holds a lone surrogate.
            ModelNotFound, NotReady, Overloaded, DeadlineExceeded, InferenceFailed: see
            ``Classifier.encode_texts``.
        """
        with self.metrics.item("text", len(texts)):
            check_texts(texts, self.settings.max_texts, self.settings.max_text_characters)
            if ticket is None:
                return await self.pool.run(lambda: hashed(texts, options))
            tokenized = await self.classifier.encode_texts(
                texts,
                ticket,
                form=options.form,
                max_tokens=options.max_tokens,
                offsets=options.offsets,
            )
            return prepared(tokenized, options)

    async def png(self, image: ImageTensor) -> bytes:
        """Return a PNG file that shows a prepared image; see ``to_png``."""
        return await self.pool.run(lambda: to_png(image))
