"""Static INT8 quantisation of a graph, per channel, with given ranges of the activations.

Weights become int8, symmetric, activations uint8 (Jacob et al., 2018; ONNX Runtime's QDQ format).
``calibrating`` finds the ranges, ``choosing`` compares what comes of them.

x86 processors without VNNI add two products of 8 by 8 bits in 16 bits, which saturates silently.
With weights of 7 bits, -64..64, the sum always fits, so that every processor answers alike.
Depthwise convolutions have kernels that add in 32 bits: their weights keep 8.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from service.core.engine.engine import Images
from service.modeltools.optimising.calibrating import Calibration, Ranges, collect
from service.modeltools.optimising.progress import NotOptimised, Progress

if TYPE_CHECKING:
    import onnx

WeightBits = Literal[7, 8]

_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}
_WITH_WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def quantise(
    source: Path,
    target: Path,
    input_name: str,
    calibration: Sequence[Images],
    progress: Progress,
    *,
    weight_bits: WeightBits = 7,
) -> None:
    """Write an INT8 version of ``source`` with ranges from the least to the greatest value.

    Blocks, for seconds to minutes.

    Args:
        input_name: the graph's input.
        calibration: prepared images, a batch each; a hundred varied photos suffice.
        weight_bits: see ``write_quantised``.

    Raises:
        NotOptimised: the graph is quantised already, or cannot be quantised.
    """
    with prepared(source, target.with_suffix(".prepared")) as graph, as_refusals():
        found = collect(graph, input_name, calibration, progress, only_ranges=True)
        ranges = {name: one.range_by(Calibration.MINMAX) for name, one in found.items()}
        write_quantised(graph, target, ranges, weight_bits=weight_bits)


@contextmanager
def prepared(source: Path, target: Path) -> Iterator[Path]:
    """Write the graph as it is calibrated and quantised; it is removed at the end.

    Raises:
        NotOptimised: the graph is quantised already, or cannot be read.
    """
    import onnx

    from observability.onnx_runtime import part

    try:
        with as_refusals():
            graph = onnx.load(str(source), load_external_data=False).graph
            if _QUANTISED & {node.op_type for node in graph.node}:
                message = "the model is quantised already"
                raise NotOptimised(message)
            preparing = part("quantization.shape_inference")
            preparing.quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
            _name_nodes(target)
        yield target
    finally:
        target.unlink(missing_ok=True)


def write_quantised(
    graph: Path,
    target: Path,
    ranges: Ranges,
    *,
    weight_bits: WeightBits = 7,
    float_ends: bool = False,
) -> None:
    """Write the INT8 version of a prepared graph.

    Args:
        weight_bits: 7 never saturates; 8 is nearer to the original, but saturates on x86 without
            VNNI unless ONNX Runtime is set to be precise, as our engine does, which is slower.
        float_ends: keep the first and the last layer with weights in float32.
    """
    import onnx

    from observability.onnx_runtime import part

    tools, calibrate = part("quantization"), part("quantization.calibrate")
    model = onnx.load(str(graph))
    as_arrays = {name: tuple(np.array(ends, np.float32)) for name, ends in ranges.items()}
    data = calibrate.TensorsData(tools.CalibrationMethod.MinMax, as_arrays)
    file = target.with_suffix(".ranges")
    calibrate.save_tensors_data(data, file)
    try:
        tools.quantize_static(
            str(graph),
            str(target),
            None,
            calibration_cache_path=str(file),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=weight_bits == 7,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=_end_nodes(model.graph) if float_ends else [],
            extra_options={
                "WeightSymmetric": True,
                "ActivationSymmetric": False,
                "TensorQuantOverrides": {
                    name: [{"axis": 0, "quant_type": tools.QuantType.QInt8, "reduce_range": False}]
                    for name in _depthwise_weights(model.graph)
                },
            },
        )
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def as_refusals() -> Iterator[None]:
    """Raise what the tools raise in the block, which may be anything, as ``NotOptimised``."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # the tools recommend the pre-processing that is done here
    try:
        yield
    except NotOptimised:
        raise
    except Exception as error:
        message = f"the model cannot be quantised: {error}"
        raise NotOptimised(message) from error
    finally:
        log.setLevel(level)


def _name_nodes(file: Path) -> None:
    """Name the nodes without a name, by which nodes are excluded."""
    import onnx

    model = onnx.load(str(file))
    nameless = [pair for pair in enumerate(model.graph.node) if not pair[1].name]
    for number, node in nameless:
        node.name = f"{node.op_type}_{number}_unnamed"
    if nameless:
        onnx.save(model, str(file))


def _end_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the first and the last node with weights."""
    constant = {tensor.name for tensor in graph.initializer}
    names = [
        node.name
        for node in graph.node
        if node.op_type in _WITH_WEIGHTS and any(name in constant for name in node.input)
    ]
    return names if len(names) < 2 else [names[0], names[-1]]


def _depthwise_weights(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the weights of depthwise convolutions."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        shape = shapes.get(node.input[1]) if node.op_type == "Conv" else None
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if shape is not None and groups > 1 and shape[:2] == (groups, 1):
            found.append(node.input[1])
    return found
