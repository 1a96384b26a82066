"""Cuts an ONNX graph at a tensor: what the tensor does not need is removed."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from service.teach.grafting.problems import CannotGraft


def cut_at(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """Return a copy of a model without the nodes and initializers that a tensor does not need.

    The copy has no outputs; inputs, names, operator versions and local functions stay.

    Raises:
        CannotGraft: the graph has no such tensor, or it is an input or a constant.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output if name}
    if tensor not in makers:
        message = f"The base's graph computes no tensor '{tensor}'."
        raise CannotGraft(message)
    needed: set[str] = set()
    waiting = [tensor]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if (maker := makers.get(name)) is not None:
            waiting.extend(_reads(maker))
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    cut.ClearField("graph")
    cut.graph.name = graph.name or "taught"
    # Before version 4 of the format, initializers were inputs too.
    constants = {one.name for one in graph.initializer}
    cut.ir_version = max(model.ir_version, 4)
    cut.graph.input.extend(one for one in graph.input if one.name not in constants)
    cut.graph.node.extend(node for node in graph.node if needed.intersection(node.output))
    cut.graph.initializer.extend(one for one in graph.initializer if one.name in needed)
    cut.graph.sparse_initializer.extend(
        one for one in graph.sparse_initializer if one.values.name in needed
    )
    made = {name for node in cut.graph.node for name in node.output}
    cut.graph.value_info.extend(one for one in graph.value_info if one.name in made)
    cut.graph.quantization_annotation.extend(
        one for one in graph.quantization_annotation if one.tensor_name in made
    )
    return cut


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads, also from inside its subgraphs."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            # An output of a branch may be a tensor outside it.
            yield from (output.name for output in graph.output)
