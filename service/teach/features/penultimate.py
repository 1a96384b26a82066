"""Finds the tensor of an ONNX classifier that its last linear layer reads: the features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto

_LINEAR = {"Gemm", "MatMul", "Conv"}
_QUANTISED = {"QGemm", "QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger"}
_BEHIND = {
    *("Add", "AveragePool", "Cast", "Clip", "Concat", "DequantizeLinear", "Div", "Dropout"),
    *("Flatten", "GlobalAveragePool", "GlobalMaxPool", "Identity", "LogSoftmax", "Mul"),
    *("QuantizeLinear", "ReduceMean", "Relu", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Sub"),
    *("Transpose", "Unsqueeze"),
}
"""Operators that may follow the last linear layer."""
_KEEP_CONSTANTS = {"DequantizeLinear", "Cast", "Identity", "Transpose"}
"""Operators between a stored weight and its layer."""
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
_SHOWN = 5
_SMALL_BYTES = 1024


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
    graph = _Graph(model)
    candidates = tuple(graph.candidates())
    if tensor is not None:
        chosen = next((one for one in candidates if one.tensor == tensor), None)
        chosen = chosen or graph.named(tensor)
    elif candidates and graph.is_last(candidates[0].tensor):
        chosen = candidates[0]
    else:
        chosen = None
    if chosen is None:
        raise NoFeatures(_what_to_name(graph, tensor, candidates))
    return Penultimate(chosen.tensor, chosen.width, candidates, chosen.pooled)


class _Graph:
    """A graph that is searched from its first output backwards."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._makers = {name: node for node in model.graph.node for name in node.output if name}
        self._shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
        self._inferred = _types(model)
        self.is_quantised = any(node.op_type in _QUANTISED for node in model.graph.node)

    def candidates(self) -> Iterator[Candidate]:
        """Yield what linear layers read, from the last layer to the first."""
        seen = set[str]()
        for node in reversed(self._graph.node):
            if node.op_type in _LINEAR and node.input[0] not in seen:
                seen.add(node.input[0])
                found = self._read_by(node)
                if found is not None:
                    yield found

    def is_last(self, tensor: str) -> bool:
        """Return whether the layer that reads a tensor leads to the output, and no other."""
        name = self._graph.output[0].name
        for _ in range(len(self._graph.node)):
            node = self._makers.get(name)
            if node is None:
                return False
            if node.op_type in _LINEAR:
                return str(node.input[0]) == tensor
            if node.op_type not in _BEHIND:
                return False
            name = next((one for one in node.input if one in self._makers), "")
        return False

    def named(self, tensor: str) -> Candidate | None:
        """Return any tensor of the graph as a candidate, if its shape is that of features."""
        kind, shape = self._inferred.get(tensor, (TensorProto.UNDEFINED, ()))
        if tensor not in self._makers or kind not in _FLOATS or len(shape) not in {2, 4}:
            return None
        if shape[1] <= 0:
            return None
        is_map = len(shape) == 4 and shape[2:] != (1, 1)
        return Candidate(tensor, shape[1], "as it was named", pooled=is_map)

    def _read_by(self, node: onnx.NodeProto) -> Candidate | None:
        """Return the input of a linear layer whose weight is a constant."""
        weight = node.input[1]
        while (maker := self._makers.get(weight)) is not None and maker.op_type in _KEEP_CONSTANTS:
            weight = maker.input[0]
        shape = self._shapes.get(weight, ())
        name = str(node.input[0])
        kind, found = self._inferred.get(name, (TensorProto.FLOAT, ()))
        if name not in self._makers or kind not in _FLOATS:
            return None
        if node.op_type == "Conv":
            is_grouped = any(one.name == "group" and one.i > 1 for one in node.attribute)
            if shape[2:] != (1, 1) or is_grouped:
                return None
            reason = f"read by the 1 x 1 convolution '{node.name or node.output[0]}'"
            return Candidate(name, shape[1], reason, pooled=found[2:] != (1, 1))
        if len(shape) != 2:
            return None
        width = found[1] if len(found) == 2 and found[1] > 0 else _width(node, shape)
        return Candidate(name, width, f"read by the layer '{node.name or node.output[0]}'")


def _width(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    is_turned = any(one.name == "transB" and one.i for one in node.attribute)
    return shape[1] if is_turned else shape[0]


def _types(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return element type and shape of the tensors, as far as ONNX can infer them."""
    bare = _without_weights(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        inferred = model.graph
    found = {}
    for one in (*inferred.value_info, *inferred.output):
        given = one.type.tensor_type
        shape = tuple(int(dim.dim_value) for dim in given.shape.dim)
        found[str(one.name)] = (int(given.elem_type), shape)
    return found


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose large constants are inputs: shapes need small ones alone."""
    graph = model.graph
    bare = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = graph.name or "bare"
    bare.graph.node.extend(graph.node)
    bare.graph.output.extend(graph.output)
    given = {one.name for one in graph.initializer}
    bare.graph.input.extend(one for one in graph.input if one.name not in given)
    for one in graph.initializer:
        if len(one.dims) <= 1 and one.ByteSize() <= _SMALL_BYTES:
            bare.graph.initializer.append(one)
        else:
            kind = onnx.helper.make_tensor_value_info(one.name, one.data_type, list(one.dims))
            bare.graph.input.append(kind)
    return bare


def _what_to_name(graph: _Graph, tensor: str | None, candidates: tuple[Candidate, ...]) -> str:
    shown = ", ".join(f"'{one.tensor}'" for one in candidates[:_SHOWN])
    if tensor is not None:
        message = f"The graph has no tensor '{tensor}' of one row of numbers for each photo."
    elif graph.is_quantised and not candidates:
        return (
            "The graph computes with whole numbers (QOperator format), so that no tensor has "
            "features. Export it in the QDQ format."
        )
    else:
        message = "The graph does not end with a linear layer: name a tensor as the feature."
    return f"{message} Linear layers read {shown}." if shown else message
