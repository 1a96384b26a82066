"""EfficientNet-Lite0 as an ONNX graph, from its trained weights.

The network is that of Tan and Le, "EfficientNet" (ICML 2019), in Google's Lite0 variant: no
squeeze-and-excite, ReLU6 throughout, stem and head of fixed width. Batch normalisation is folded
into the convolutions. TensorFlow's SAME padding is asymmetric at stride 2: the odd pixel goes to
the right and to the bottom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.operator_error import OperatorError

if TYPE_CHECKING:
    import onnx

SIDE = 224
CLASSES = 1000
FEATURES = 1280
INPUT, OUTPUT, FEATURE_OUTPUT = "image", "logits", "features"
OPSET, IR_VERSION = 17, 8
_EPSILON = 1e-3
"""Epsilon of batch normalisation, as TensorFlow trained it."""

Floats = NDArray[np.float32]


class WrongWeights(OperatorError):
    """Tensors do not match EfficientNet-Lite0; the message names the first that differs."""


@dataclass(frozen=True, slots=True)
class _Stage:
    expansion: int
    channels: int
    kernel: int
    stride: int
    repeats: int


_STEM_CHANNELS = 32
_STAGES = (
    _Stage(1, 16, 3, 1, 1),
    _Stage(6, 24, 3, 2, 2),
    _Stage(6, 40, 5, 2, 2),
    _Stage(6, 80, 3, 2, 3),
    _Stage(6, 112, 5, 1, 3),
    _Stage(6, 192, 5, 2, 4),
    _Stage(6, 320, 3, 1, 1),
)


@dataclass(frozen=True, slots=True)
class ExtraClasses:
    """Classes appended to the thousand: linear in the features, like those.

    weights_EF: [E, 1280] float32; bias_E: [E] float32.
    """

    weights_EF: Floats
    bias_E: Floats


def build_network(
    weights: Mapping[str, NDArray[np.generic]], extra: ExtraClasses | None = None
) -> onnx.ModelProto:
    """Build the graph: ``image`` [N, 3, 224, 224] float32 to ``logits`` [N, 1000 + E] float32.

    Args:
        weights: the state dict; tensors that are not needed are ignored.
        extra: E additional classes.

    Raises:
        WrongWeights: a tensor is missing or has another shape.
    """
    builder = _Builder(weights)
    current = builder.convolution(INPUT, "_conv_stem", "_bn0", (_STEM_CHANNELS, 3, 3, 3), stride=2)
    channels, number = _STEM_CHANNELS, 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            current = builder.block(current, number, stage, channels, stride)
            channels, number = stage.channels, number + 1
    current = builder.convolution(current, "_conv_head", "_bn1", (FEATURES, channels, 1, 1))
    return builder.finish(current, extra)


class _Builder:
    """Builder that adds nodes and their weights in the order of the network."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = [
            _constant("relu6_min", np.float32(0)),
            _constant("relu6_max", np.float32(6)),
        ]
        # The spatial size decides how SAME pads; it halves at every stride of 2.
        self._side = SIDE

    def block(self, current: str, number: int, stage: _Stage, channels: int, stride: int) -> str:
        """Add an inverted residual block: expand, depthwise convolution, project."""
        name, came_in = f"_blocks.{number}.", current
        wide = channels * stage.expansion
        if stage.expansion != 1:
            shape = (wide, channels, 1, 1)
            current = self.convolution(current, f"{name}_expand_conv", f"{name}_bn0", shape)
        shape = (wide, 1, stage.kernel, stage.kernel)
        current = self.convolution(
            current, f"{name}_depthwise_conv", f"{name}_bn1", shape, stride=stride, groups=wide
        )
        shape = (stage.channels, wide, 1, 1)
        current = self.convolution(
            current, f"{name}_project_conv", f"{name}_bn2", shape, is_activated=False
        )
        if stride == 1 and channels == stage.channels:
            current = self._node("Add", [current, came_in], f"{name}sum")
        return current

    def convolution(
        self,
        current: str,
        convolution: str,
        norm: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        is_activated: bool = True,
    ) -> str:
        """Add a convolution with its batch normalisation folded in, followed by ReLU6."""
        kernel_OIHW = self._tensor(f"{convolution}.weight", shape)
        gamma, beta, mean, variance = (
            self._tensor(f"{norm}.{part}", shape[:1])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gamma / np.sqrt(variance + _EPSILON)
        self._constants += [
            _constant(f"{convolution}.kernel", kernel_OIHW * gain[:, None, None, None]),
            _constant(f"{convolution}.bias", beta - mean * gain),
        ]
        size = shape[2]
        output = -(-self._side // stride)
        total = max((output - 1) * stride + size - self._side, 0)
        before, after = total // 2, total - total // 2
        self._side = output
        made = self._node(
            "Conv",
            [current, f"{convolution}.kernel", f"{convolution}.bias"],
            convolution,
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )
        if is_activated:
            made = self._node("Clip", [made, "relu6_min", "relu6_max"], f"{convolution}.relu6")
        return made

    def finish(self, current: str, extra: ExtraClasses | None) -> onnx.ModelProto:
        """Add pooling and the classifier; return the checked model."""
        import onnx
        from onnx import TensorProto, helper

        weight_KF = self._tensor("_fc.weight", (CLASSES, FEATURES))
        bias_K = self._tensor("_fc.bias", (CLASSES,))
        if extra is not None:
            weight_KF = np.concatenate([weight_KF, extra.weights_EF])
            bias_K = np.concatenate([bias_K, extra.bias_E])
        self._constants += [_constant("fc.weight", weight_KF), _constant("fc.bias", bias_K)]
        pooled = self._node("GlobalAveragePool", [current], "pooled")
        features = self._node("Flatten", [pooled], FEATURE_OUTPUT)
        self._node("Gemm", [features, "fc.weight", "fc.bias"], OUTPUT, transB=1)
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(bias_K)])],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="potoo",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model)
        return model

    def _node(
        self, kind: str, inputs: list[str], output: str, **attributes: int | list[int]
    ) -> str:
        from onnx import helper

        node = helper.make_node(kind, inputs, [output], name=output)
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        self._nodes.append(node)
        return output

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Floats:
        found = self._weights.get(name)
        if found is None or found.shape != shape or found.dtype != np.float32:
            there = "is missing" if found is None else f"is {found.dtype} {list(found.shape)}"
            wanted = f"float32 {list(shape)}"
            raise WrongWeights(f"the weights do not fit: {name} {there}, not {wanted}")
        if not np.isfinite(found).all():
            raise WrongWeights(f"the weights do not fit: {name} is not finite")
        return found.astype(np.float32)


def _constant(name: str, value: Floats | np.float32) -> onnx.TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(value, np.float32), name)
