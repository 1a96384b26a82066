"""Requests and responses of tensor inference, as plain data that transports decode and encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import InvalidTensor
from service.core.imaging.answer import ModelRef
from service.core.tensors.tensors import Tensor, shown

MAX_TENSORS = 64
"""Most inputs, and most outputs, that one request may name."""


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """The content of one inference request.

    Attributes:
        outputs: names, in the order requested; if empty, all of them.
        raw: in place of ``inputs``, the only input's bytes: one item of the model's own shape, or
            one encoded image.
        id: chosen by the caller, echoed in the response.
    """

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[str, ...] = ()
    raw: bytes | memoryview | None = None
    id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class InferResponse:
    """One inference response.

    Attributes:
        outputs: the graph's raw output, float32, in the order requested.
        labels: of the model's classes.
        label_offset: index of the first label in an item's flat output.
    """

    model: ModelRef
    outputs: tuple[Tensor, ...]
    id: str = ""
    labels: Sequence[str] = ()
    label_offset: int = 0


def check_names(kind: str, names: Sequence[str]) -> None:
    """Raise ``InvalidTensor`` if there are too many names, or a name is repeated."""
    if len(names) > MAX_TENSORS:
        raise InvalidTensor(f"There are more than {MAX_TENSORS} {kind}s.")
    for name in names:
        if names.count(name) > 1:
            raise InvalidTensor(f"The {kind} {shown(name)} is given more than once.")
