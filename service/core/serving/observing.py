"""The seam between the classifier and what looks at its answers: drift, kept photos."""

from __future__ import annotations

from typing import Protocol

from service.core.imaging.answer import Classification
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model


class AnswerObserver(Protocol):
    """Receives the answers for images, on the event loop; must return at once."""

    def answered(
        self, model: Model, image: bytes, answer: Classification, call: CallContext
    ) -> None:
        """Receive the answer for one encoded image."""
