"""The seam between engines and the kinds of input: one ``GraphInput`` for each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from schemas.models import ModelInput
from schemas.series import SeriesSpec
from service.core.engine.engine import Images
from service.core.engine.graph_check import GraphTensor
from service.core.engine.inputs.images import ImageInput
from service.core.engine.inputs.series import SeriesInput


class GraphInput(Protocol):
    """What an engine needs to know of a kind of input."""

    def check(self, tensors: Iterable[GraphTensor]) -> None:
        """Check the manifest's input against the inputs of the graph.

        Raises:
            ManifestMismatch: it does not describe them, or not all of them.
        """

    def blank(self, count: int) -> Images:
        """Return a batch of ``count`` items of zeros."""

    def feeds(self, batch: Images) -> dict[str, Images]:
        """Return the tensors of a batch by the names of the graph's inputs."""


def graph_input(spec: ModelInput) -> GraphInput:
    """Return the kind of a manifest's input."""
    if isinstance(spec, SeriesSpec):
        return SeriesInput(spec)
    return ImageInput(spec)
