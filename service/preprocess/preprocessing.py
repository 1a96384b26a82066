"""What transports need to prepare items."""

from __future__ import annotations

from dataclasses import dataclass

from observability.metrics.preprocess_metrics import PreprocessMetrics
from service.core.engine.pool import WorkerPool
from service.core.serving.classifier import Classifier
from service.core.serving.image_tensors import ImageTensor
from service.core.serving.ticket import Ticket
from service.preprocess.images.view import to_png
from service.preprocess_settings import PreprocessSettings


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Prepares items within limits, and counts them."""

    settings: PreprocessSettings
    classifier: Classifier
    pool: WorkerPool
    metrics: PreprocessMetrics

    async def image(self, data: bytes, ticket: Ticket) -> ImageTensor:
        """Prepare an image as the model of the ticket takes it.

        Raises:
            Unsupported: the model takes no images.
            ModelNotFound, NotReady, UnsupportedImage, InvalidImage, ImageTooLarge, Overloaded,
            DeadlineExceeded: see ``Classifier.image_tensor``.
        """
        with self.metrics.item("image"):
            return await self.classifier.image_tensor(data, ticket)

    async def png(self, image: ImageTensor) -> bytes:
        """Return a PNG file that shows a prepared image; see ``to_png``."""
        return await self.pool.run(lambda: to_png(image))
