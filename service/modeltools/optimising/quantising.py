"""Static INT8 quantisation of a model, per channel, calibrated on given images.

Weights become int8 and activations uint8 (Jacob et al., 2018; ONNX Runtime's QDQ format).
``comparing`` measures the loss.

x86 processors without VNNI add two products of 8 by 8 bits in 16 bits, which saturates silently.
With weights of 7 bits, -64..64, the sum always fits, so that every processor answers alike.
Depthwise convolutions have kernels that add in 32 bits: their weights keep 8.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from schemas.operator_error import OperatorError
from service.core.engine.engine import Images

_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}

Progress = Callable[[str, int, int], None]
"""Progress callback: the activity, the count done, the total."""


class NotOptimised(OperatorError):
    """No acceptable faster version could be created. The message is for people."""


def quantise(
    source: Path,
    target: Path,
    input_name: str,
    calibration: Sequence[Images],
    progress: Progress,
    *,
    weight_bits: Literal[7, 8] = 7,
) -> None:
    """Write an INT8 version of the graph ``source`` to ``target``. Blocks, for seconds to minutes.

    Args:
        input_name: the graph's input.
        calibration: prepared images, a batch each; a hundred varied photos suffice.
        weight_bits: 7 never saturates; 8 is nearer to the original, but saturates on x86 without
            VNNI unless ONNX Runtime is set to be precise, as our engine does, which is slower.

    Raises:
        NotOptimised: the graph is quantised already, or cannot be quantised.
    """
    import onnx

    from observability.onnx_runtime import part

    tools, preparing = part("quantization"), part("quantization.shape_inference")

    prepared = target.with_suffix(".prepared")
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # it recommends pre-processing, which is already done here
    try:
        graph = onnx.load(str(source), load_external_data=False).graph
        if _QUANTISED & {node.op_type for node in graph.node}:
            message = "the model is quantised already"
            raise NotOptimised(message)
        preparing.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        tools.quantize_static(
            str(prepared),
            str(target),
            _Reader(input_name, calibration, progress),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=weight_bits == 7,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            extra_options={
                "TensorQuantOverrides": {
                    name: [{"axis": 0, "quant_type": tools.QuantType.QInt8, "reduce_range": False}]
                    for name in _depthwise_weights(prepared)
                }
            },
        )
    except NotOptimised:
        raise
    except Exception as error:  # the tool may raise anything
        message = f"the model cannot be quantised: {error}"
        raise NotOptimised(message) from error
    finally:
        log.setLevel(level)
        prepared.unlink(missing_ok=True)


def _depthwise_weights(model: Path) -> list[str]:
    """Return the names of the weights of depthwise convolutions."""
    import onnx

    graph = onnx.load(str(model)).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        shape = shapes.get(node.input[1]) if node.op_type == "Conv" else None
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if shape is not None and groups > 1 and shape[:2] == (groups, 1):
            found.append(node.input[1])
    return found


class _Reader:
    """Iterator over the calibration images (``CalibrationDataReader``)."""

    def __init__(self, name: str, images: Sequence[Images], progress: Progress) -> None:
        self._feeds = iter(images)
        self._name, self._progress = name, progress
        self._total, self._done = len(images), 0

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._feeds, None)
        if image is None:
            return None
        self._done += 1
        self._progress("calibrating", self._done, self._total)
        return {self._name: image}

    def __iter__(self) -> Iterator[dict[str, Images]]:
        while (feed := self.get_next()) is not None:
            yield feed
