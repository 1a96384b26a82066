"""The seam between engines and the kinds of input: one ``GraphInput`` for each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from schemas.manifest.any_input import ModelInput
from schemas.manifest.model_input import InputSpec
from schemas.manifest.numeric import NumericSpec
from schemas.manifest.series import SeriesSpec
from schemas.manifest.text import TextSpec
from service.core.engine.engine import Images
from service.core.engine.graph_check import GraphTensor
from service.core.engine.inputs.images import ImageInput
from service.core.engine.inputs.numeric import NumericInput
from service.core.engine.inputs.series import SeriesInput
from service.core.engine.inputs.text import TextInput


class GraphInput(Protocol):
    """The graph inputs of one kind of input, as an engine feeds them."""

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
    match spec:
        case SeriesSpec():
            return SeriesInput(spec)
        case NumericSpec():
            return NumericInput(spec)
        case TextSpec():
            return TextInput(spec)
        case InputSpec():
            return ImageInput(spec)
