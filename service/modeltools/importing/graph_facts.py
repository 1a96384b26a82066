"""Facts read from an ONNX graph: whether it can be served, and its input."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from observability.onnx_runtime import ort
from schemas.manifest.model_input import Dtype, Layout
from schemas.operator_error import OperatorError
from service.core.engine.graph_check import ONNX_TYPES

if TYPE_CHECKING:
    import onnx  # slow to import, and needed only to add a model

_STANDARD_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
_WHOLE_NUMBERS = "tensor(int64)"
_ROWS_AXES, _WINDOW_AXES = 2, 3
MAX_SINGLE_FILE_BYTES = 2 * 2**30 - 2**20


class CannotImport(OperatorError):
    """The file cannot be served; the message gives the reason and a remedy."""


@dataclass(frozen=True, slots=True)
class InputFacts:
    """Input of a graph; None for sizes that the graph does not fix."""

    name: str
    dtype: Dtype
    layout: Layout
    channels: int
    height: int | None
    width: int | None
    batch: int | None
    is_layout_sure: bool


def copy_model(source: Path, target: Path) -> bool:
    """Copy a model into one file; return whether external weights were merged into it.

    Raises:
        CannotImport: not an ONNX model, custom operators, or missing weight files.
    """
    import onnx

    try:
        graph = onnx.load(str(source), load_external_data=False)
    except Exception as error:  # the parser may raise anything
        message = f"{source.name} is no ONNX model"
        raise CannotImport(message) from error
    _refuse_custom_operators(graph)
    beside = _external_files(graph)
    if not beside:
        shutil.copyfile(source, target)
        return False
    sizes = []
    for name in sorted(beside):
        file = source.parent / name
        if Path(name).name != name or not file.is_file() or file.is_symlink():
            message = f"the model keeps weights in '{name}', which does not lie beside it"
            raise CannotImport(message)
        sizes.append(file.stat().st_size)
    if sum(sizes) + source.stat().st_size > MAX_SINGLE_FILE_BYTES:
        message = "with the weights beside it the model is larger than the 2 GB of one ONNX file"
        raise CannotImport(message)
    try:
        onnx.save(onnx.load(str(source)), str(target))
    except OSError:
        raise
    except Exception as error:
        message = f"the weights beside the model cannot be read: {error}"
        raise CannotImport(message) from error
    return True


def open_graph(model: Path) -> ort.InferenceSession:
    """Open a session to inspect and try a model.

    Raises:
        CannotImport: ONNX Runtime cannot load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message = f"ONNX Runtime cannot load the model: {error}"
        raise CannotImport(message) from error


def input_facts(session: ort.InferenceSession) -> InputFacts:
    """Return the facts of the single input.

    Raises:
        CannotImport: there are several inputs, or the input is not an image.
    """
    node, dtype = _only_image(session.get_inputs())
    if len(node.shape) != 4:
        raise CannotImport(f"the model takes {node.shape}, which is no batch of images")
    batch, first, second, third = (size if isinstance(size, int) else None for size in node.shape)
    colours = (1, 3)
    if first in colours:
        is_sure = third not in colours
        layout, channels, height, width = Layout.NCHW, first, second, third
    elif third in colours:
        is_sure, layout, channels, height, width = True, Layout.NHWC, third, first, second
    else:
        raise CannotImport(f"the model takes {node.shape}, which has no axis of 1 or 3 colours")
    return InputFacts(node.name, dtype, layout, channels, height, width, batch, is_sure)


def _only_image(nodes: Sequence[ort.NodeArg]) -> tuple[ort.NodeArg, Dtype]:
    """Return the only input and its type.

    Raises:
        CannotImport: there are several inputs, or the input is of another kind.
    """
    if len(nodes) != 1:
        names = ", ".join(f"'{node.name}'" for node in nodes)
        if {node.type for node in nodes} == {_WHOLE_NUMBERS}:
            raise _by_hand(f"the model takes {names}, which may be tokens of text", "text")
        raise CannotImport(f"the model takes {len(nodes)} inputs ({names}); one image is served")
    (node,) = nodes
    if node.type == _WHOLE_NUMBERS:
        raise _by_hand("the model takes whole numbers, which may be tokens of text", "text")
    if len(node.shape) == _ROWS_AXES:
        raise _by_hand(f"the model takes {node.shape}, which may be rows of numbers", "numbers")
    dtype = {ONNX_TYPES[dtype]: dtype for dtype in Dtype}.get(node.type)
    if dtype is None:
        known = " or ".join(ONNX_TYPES[dtype] for dtype in Dtype)
        raise CannotImport(f"the model takes {node.type}; images can be {known}")
    if len(node.shape) == _WINDOW_AXES:
        raise _by_hand(f"the model takes {node.shape}, which may be windows of samples", "series")
    return node, dtype


def _by_hand(takes: str, kind: str) -> CannotImport:
    """Build the error that says how to add a model that takes something else than images."""
    return CannotImport(
        f"{takes}: write a manifest with an input of {kind}, and put both files into the model "
        "folder (see docs/models.md)"
    )


def _refuse_custom_operators(model: onnx.ModelProto) -> None:
    known = _STANDARD_DOMAINS | {function.domain for function in model.functions}
    strange = {
        f"{node.domain}.{node.op_type}"
        for graph in _graphs(model)
        for node in graph.node
        if node.domain not in known
    }
    if strange:
        names = ", ".join(sorted(strange)[:5])
        message = f"the model needs custom operators, which are not loaded: {names}"
        raise CannotImport(message)


def _external_files(model: onnx.ModelProto) -> set[str]:
    """Return the names of the external weight files in the graph; './x' is 'x'."""
    tensors: list[onnx.TensorProto] = []
    for graph in _graphs(model):
        tensors += getattr(graph, "initializer", ())  # functions have none
        for node in graph.node:
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors]
    return {
        str(PurePosixPath(entry.value))  # keeps '..'
        for tensor in tensors
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """Yield the graph, the graphs inside branches and loops, and the functions."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [inner for inner in (attribute.g, *attribute.graphs) if inner.node]
