"""Finds the tensor of an ONNX classifier that its last linear layer reads: the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


class NoFeatures(Exception):
    """No tensor can serve as features. The message is for people, and says what to name."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that can serve as features.

    Attributes:
        tensor: its name in the graph.
        width: features of a photo.
        reason: where it was found, for people.
        pooled: whether it is a map [N, C, H, W] whose mean over H and W is taken.
    """

    tensor: str
    width: int
    reason: str
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Penultimate:
    """The features of a graph, best first.

    Attributes:
        tensor: name of the chosen tensor.
        width: features of a photo.
        candidates: all tensors that can serve, the chosen one among them.
    """

    tensor: str
    width: int
    candidates: tuple[Candidate, ...]
    pooled: bool = False


def find(model: onnx.ModelProto, tensor: str | None = None) -> Penultimate:
    """Find the features of a classifier.

    Args:
        tensor: name of the tensor to take instead of the best candidate.

    Raises:
        NoFeatures: there is no candidate, or ``tensor`` cannot serve.
    """
    raise NotImplementedError
