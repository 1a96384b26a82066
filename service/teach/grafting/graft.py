"""Grafts a head onto the graph of its base.

::

    base ─► features ─► [kernel ─►] Gemm ─► logits ───────────────┬─► Concat ─► output
               │                   └─► ReduceLogSumExp ─┐         │
               └─► distance ─► log odds of 'unknown' ───┴─► Add ──┘

The last logit is that of 'unknown': of all probability, the softmax gives it the share that the
distance says, and leaves the classes among one another as they are. Several labels have no softmax:
their scores are multiplied by the probability that the photo is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.teach.features.penultimate import Penultimate
from service.teach.grafting.problems import CannotGraft
from service.teach.grafting.pruning import cut_at
from service.teach.grafting.unknown import MOST, STEEPNESS, UnknownScore
from service.teach.heads.arrays import LEAST_LENGTH, Features, Numbers
from service.teach.heads.head import Head
from service.teach.heads.kernel import KernelMap

FIRST_OPSET = 8
"""Operators broadcast from this version on, Max too."""
_TAIL_OPSET = 17
LOGITS, SCORES = "logits", "scores"
"""Names of the output: of photos with one label, and with several."""


@dataclass(frozen=True, slots=True, eq=False)
class Graft:
    """A head and what turns its logits into the output of a version.

    Attributes:
        temperature: by which the server, or the graph for several labels, divides logits.
        unknown: None: the version knows no 'unknown'.
    """

    head: Head
    temperature: float
    unknown: UnknownScore | None = None

    @classmethod
    def of(cls, head: Head, temperature: float, unknown: UnknownScore | None = None) -> Graft:
        """Return the graft of a fitted head.

        The logits of a softmax get a mean of 0, which changes no score: those of a ridge sum to 1,
        and would be taken for probabilities.
        """
        if head.kind == "softmax":
            weight_KD = head.weight_KD - head.weight_KD.mean(axis=0)
            head = replace(head, weight_KD=weight_KD, bias_K=head.bias_K - head.bias_K.mean())
        return cls(head, temperature, unknown)

    def __call__(self, features_ND: Features) -> Numbers:
        """Return what the graph computes from features, [N, K] or [N, K + 1]; in float64."""
        logits_NK = self.head.logits(features_ND)
        z_N = None if self.unknown is None else self.unknown(features_ND)
        if self.head.kind == "sigmoid":
            scores_NK = 1 / (1 + np.exp(-np.clip(logits_NK / self.temperature, -500, 500)))
            return scores_NK if z_N is None else scores_NK / (1 + np.exp(z_N))[:, np.newaxis]
        if z_N is None:
            return logits_NK
        scaled_NK = logits_NK / self.temperature
        largest_N = scaled_NK.max(axis=1)
        total_N = largest_N + np.log(np.exp(scaled_NK - largest_N[:, np.newaxis]).sum(axis=1))
        return np.column_stack([logits_NK, self.temperature * (total_N + z_N)])


def grafted(model: onnx.ModelProto, features: Penultimate, graft: Graft) -> onnx.ModelProto:
    """Return the base's model with the head in place of what follows its features.

    Its outputs are that of the head, and the features, which versions of one base share.

    Args:
        model: the base; not changed.
        features: where its features are.
        graft: what follows them.

    Raises:
        CannotGraft: the graph does not allow it, or would not be valid.
    """
    opset = next((one.version for one in model.opset_import if one.domain in {"", "ai.onnx"}), 0)
    if opset < FIRST_OPSET:
        message = f"The base's operators are of version {opset}; {FIRST_OPSET} is the least."
        raise CannotGraft(message)
    if graft.head.features != features.width:
        message = f"The head reads {graft.head.features} features of {features.width}."
        raise CannotGraft(message)
    whole = cut_at(model, features.tensor)
    features_output, output = _HeadWriter(whole.graph, opset).write(features, graft)
    classes = len(graft.head.bias_K)
    if graft.unknown is not None and graft.head.kind == "softmax":
        classes += 1
    shape: list[str | int | None] = [_batch(whole) or "N", classes]
    whole.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    shape = [_batch(whole) or "N", features.width]
    whole.graph.output.append(
        helper.make_tensor_value_info(features_output, TensorProto.FLOAT, shape)
    )
    try:
        onnx.checker.check_model(whole, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().splitlines()[0]
        message = f"The graph with the head is not valid: {first}"
        raise CannotGraft(message) from error
    return whole


def tail(features: Penultimate, graft: Graft) -> onnx.ModelProto:
    """Return a model that computes the output from features [N, D] alone."""
    shape: list[str | int | None] = ["N", features.width]
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)
    graph = helper.make_graph([], "tail", [given], [])
    output = _HeadWriter(graph, _TAIL_OPSET).write_tail("features", graft)
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", "K"]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _TAIL_OPSET)])
    model.ir_version = 8
    return model


class _HeadWriter:
    """Writes nodes behind the features of a graph, under names that the graph has not."""

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self._graph, self._opset = graph, opset
        taken = {name for node in graph.node for name in node.output}
        taken.update(one.name for one in graph.input)
        taken.update(one.name for one in graph.initializer)
        self._taken = taken
        number = 0
        # A base that was taught itself has the names of its own head.
        while any(name.startswith(f"potoo.teach{number or ''}.") for name in taken):
            number += 1
        self._prefix = f"potoo.teach{number or ''}."

    def write(self, features: Penultimate, graft: Graft) -> tuple[str, str]:
        """Write all behind the features of the graph.

        Returns:
            The names of the features [N, D], and of the output.
        """
        name = features.tensor
        if features.pooled:
            name = self._node("GlobalAveragePool", [name], "pooled")
        name = self._node("Cast", [name], "float", to=TensorProto.FLOAT)
        name = self._node("Flatten", [name], "features", axis=1)
        return name, self.write_tail(name, graft)

    def write_tail(self, features: str, graft: Graft) -> str:
        """Write what follows ``features``, float32 [N, D]; return the name of the output."""
        if graft.head.kind == "sigmoid":
            return self._scores(features, graft)
        if graft.unknown is None:
            return self._gemm(features, graft.head, LOGITS)
        logits = self._gemm(features, graft.head, "of_classes")
        z = self._unknown(features, graft.unknown)
        temperature = self._constant("temperature", graft.temperature)
        scaled = self._node("Div", [logits, temperature], "scaled")
        odds = self._node("Add", [self._reduce("ReduceLogSumExp", scaled, "total"), z], "odds")
        unknown = self._node("Mul", [odds, temperature], "unknown")
        return self._node("Concat", [logits, unknown], LOGITS, axis=1)

    def _scores(self, features: str, graft: Graft) -> str:
        weight_KD, bias_K = graft.head.weight_KD, graft.head.bias_K
        head = replace(
            graft.head,
            weight_KD=weight_KD / graft.temperature,
            bias_K=bias_K / graft.temperature,
        )
        logits = self._gemm(features, head, "of_classes")
        if graft.unknown is None:
            return self._node("Sigmoid", [logits], SCORES)
        scores = self._node("Sigmoid", [logits], "alone")
        minus = self._node("Neg", [self._unknown(features, graft.unknown)], "minus")
        return self._node("Mul", [scores, self._node("Sigmoid", [minus], "known")], SCORES)

    def _gemm(self, features: str, head: Head, output: str) -> str:
        name, weight_KD = features, head.weight_KD
        if head.kernel is not None:
            name = self._similarities(features, head.kernel)
            weight_KD = weight_KD @ head.kernel.whitening_MR.T
        weight = self._constant("weight", weight_KD)
        bias = self._constant("bias", head.bias_K)
        return self._node("Gemm", [name, weight, bias], output, transB=1)

    def _similarities(self, features: str, kernel: KernelMap) -> str:
        """Write the similarities to the landmarks of a kernel, [N, M]."""
        root = self._node("Sqrt", [self._node("Abs", [features], "magnitude")], "magnitude.root")
        least = self._constant("least_root", LEAST_LENGTH)
        # x / sqrt(|x|) is the signed root without the operator Sign, which came later.
        rooted = self._node("Div", [features, self._node("Max", [root, least], "safe")], "rooted")
        x = self._of_length_one(rooted, "rooted")
        if kernel.directions_DP is not None:
            x = self._node("MatMul", [x, self._constant("main", kernel.directions_DP)], "compared")
        own = self._sum_of_squares(x, "compared.length")
        landmarks = self._constant("landmarks", -2 * kernel.landmarks_MP)
        lengths_M = np.einsum("mp,mp->m", kernel.landmarks_MP, kernel.landmarks_MP)
        lengths = self._constant("landmarks.lengths", lengths_M)
        products = self._node("Gemm", [x, landmarks, lengths], "products", transB=1)
        square = self._node("Relu", [self._node("Add", [products, own], "away")], "away.positive")
        scale = self._constant("scale", -kernel.scale)
        return self._node("Exp", [self._node("Div", [square, scale], "scaled_away")], "similar")

    def _of_length_one(self, name: str, output: str) -> str:
        length = self._node(
            "Sqrt", [self._sum_of_squares(name, f"{output}.length")], f"{output}.root"
        )
        least = self._constant("least_length", LEAST_LENGTH)
        divisor = self._node("Max", [length, least], f"{output}.divisor")
        return self._node("Div", [name, divisor], f"{output}.unit")

    def _unknown(self, features: str, score: UnknownScore) -> str:
        """Write the log odds of 'unknown', [N, 1]."""
        unit = self._of_length_one(features, "features")
        x = self._node("Sub", [unit, self._constant("centre", score.centre_D)], "centred")
        own = self._sum_of_squares(x, "own")
        squares = self._node("Mul", [own, self._constant("level", score.level)], "squares")
        if score.directions_DR.shape[1]:
            directions = self._constant("directions", score.directions_DR)
            along = self._node("MatMul", [x, directions], "along")
            squares = self._node("Sub", [squares, self._sum_of_squares(along, "less")], "rest")
        linear = self._constant("linear", score.linear_KD)
        constant = self._constant("constant", score.constant_K)
        classes = self._node("Gemm", [x, linear, constant], "classes", transB=1)
        square = self._node("Add", [squares, self._reduce("ReduceMin", classes, "least")], "square")
        distance = self._node("Sqrt", [self._node("Relu", [square], "positive")], "distance")
        slope = self._constant("slope", STEEPNESS / score.threshold)
        steep = self._node("Mul", [distance, slope], "steep")
        return self._clip(self._node("Sub", [steep, self._constant("steepness", STEEPNESS)], "z"))

    def _sum_of_squares(self, name: str, output: str) -> str:
        square = self._node("Mul", [name, name], f"{output}.squares")
        return self._reduce("ReduceSum", square, output)

    def _reduce(self, operator: str, name: str, output: str) -> str:
        """Write a reduction over the second axis, [N, 1]. The axes became an input one by one."""
        first = 13 if operator == "ReduceSum" else 18
        if self._opset < first:
            return self._node(operator, [name], output, axes=[1], keepdims=1)
        axes = self._constant("axes", np.array([1], np.int64))
        return self._node(operator, [name, axes], output, keepdims=1)

    def _clip(self, name: str) -> str:
        if self._opset < 11:
            return self._node("Clip", [name], "bounded", min=-MOST, max=MOST)
        bounds = [self._constant("minimum", -MOST), self._constant("maximum", MOST)]
        return self._node("Clip", [name, *bounds], "bounded")

    def _constant(self, name: str, value: Numbers | NDArray[np.int64] | float) -> str:
        whole = f"{self._prefix}{name}"
        if whole not in self._taken:
            array = np.asarray(value)
            if array.dtype != np.int64:
                array = np.ascontiguousarray(array, np.float32)
            self._graph.initializer.append(numpy_helper.from_array(array, whole))
            self._taken.add(whole)
        return whole

    def _node(self, operator: str, inputs: list[str], output: str, **given: Any) -> str:  # noqa: ANN401 - as ONNX takes them
        is_output = output in {LOGITS, SCORES} and output not in self._taken
        whole = output if is_output else f"{self._prefix}{output}"
        self._graph.node.append(helper.make_node(operator, inputs, [whole], name=whole, **given))
        self._taken.add(whole)
        return whole


def _batch(model: onnx.ModelProto) -> int:
    """Return the fixed batch of the graph's input; 0 if it is dynamic."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)
