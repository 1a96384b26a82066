"""The seam between the classifier and versions that are tried: see ``core.rollout``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from schemas.errors import ServiceError
from service.core.imaging.answer import Classification, LabelledAnswer
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model


class Trial(Protocol):
    """A version that is tried beside the default one of a model: see ``core.rollout``."""

    def answered(self, model: Model, answer: Classification | LabelledAnswer | None) -> None:
        """Receive an answer to a caller; None for tensors."""

    def failed(self, model: Model, error: ServiceError) -> None:
        """Receive the error of a call."""

    def copy(
        self,
        model: Model,
        answer: Classification | LabelledAnswer,
        call: CallContext,
        repeat: Callable[[Model, CallContext], Awaitable[Classification | LabelledAnswer]],
    ) -> None:
        """Have the other version answer the same input, if it is to. Returns at once."""


class Trials(Protocol):
    """The versions that are tried."""

    def of(self, name: str) -> Trial | None:
        """Return the one of a model, if there is one."""

    def model_for(self, owner: str, model: Model) -> Model:
        """Return the version that answers a caller who named none; ``model`` is the default."""


@contextmanager
def watched(trial: Trial | None, model: Model) -> Iterator[None]:
    """Tell a trial, if there is one, of an error of the block, which is raised all the same."""
    try:
        yield
    except ServiceError as error:
        if trial is not None:
            trial.failed(model, error)
        raise
