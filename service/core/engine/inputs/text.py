"""The inputs of a graph that takes text: ids, and as far as it has them mask and types, [N, L].

A batch of texts is one tensor, int64 [N, P, L], with a plane for each input of the graph, in the
order of ``TextSpec.inputs``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from schemas.manifest.text import TextSpec
from service.core.engine.engine import Images
from service.core.engine.graph_check import GraphTensor, ManifestMismatch, listed

_TYPE = "tensor(int64)"
_AXES = 2
_BLANK_TOKENS = 16
"""Tokens of a short text, whose run is timed."""


class TextInput:
    """See ``GraphInput``."""

    def __init__(self, spec: TextSpec) -> None:
        self._spec = spec

    def check(self, tensors: Iterable[GraphTensor]) -> None:
        """See ``GraphInput.check``."""
        spec = self._spec
        inputs = {tensor.name: tensor for tensor in tensors}
        given = listed(inputs)
        for field, name in (("ids", spec.ids), ("mask", spec.mask), ("types", spec.types)):
            if name is None:
                continue
            if (node := inputs.pop(name, None)) is None:
                raise ManifestMismatch(
                    f"input.{field}", f"is '{name}', but the graph takes {given}"
                )
            _check_node(f"input.{field}", node)
        if inputs:
            raise ManifestMismatch(
                "input", f"does not name all inputs: the graph takes {listed(inputs)} too"
            )

    def blank(self, count: int) -> Images:
        """See ``GraphInput.blank``: short texts of the first token."""
        spec = self._spec
        length = min(_BLANK_TOKENS, spec.max_tokens)
        batch_NPL = np.zeros((count, len(spec.inputs), length), np.int64)
        if spec.mask is not None:
            batch_NPL[:, 1] = 1
        return batch_NPL

    def feeds(self, batch: Images) -> dict[str, Images]:
        """See ``GraphInput.feeds``."""
        return {
            name: np.ascontiguousarray(batch[:, plane], np.int64)
            for plane, name in enumerate(self._spec.inputs)
        }


def _check_node(field: str, node: GraphTensor) -> None:
    if node.type != _TYPE:
        raise ManifestMismatch(field, f"must be {_TYPE} in the graph, which takes {node.type}")
    shape = list(node.shape)
    if shape and (len(shape) != _AXES or any(isinstance(size, int) for size in shape)):
        raise ManifestMismatch(
            field, f"must be of shape [N, L] in the graph, both dynamic, but it takes {shape}"
        )
