"""Choice of a graph's output and the kind of its numbers, found by running the graph.

The inputs are noise and pictures of one shade, the latter also unprepared, far outside the training
range. Outputs that sum to 1 on all inputs are taken for probabilities; outputs within 0..1 for the
scores of a multi-label model; all others for logits. Coarse probabilities may miss a sum of 1: then
the graph's last operator decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from schemas.manifest.model_input import Dtype, Layout
from schemas.manifest.model_output import LabelKind
from service.modeltools.importing.graph_facts import CannotImport, InputFacts

_SUM_TOLERANCE = 0.02
_NOISE = 3
_SHADES = (0, 255)
_MOVES_ONLY = {
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Cast", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear"),
}
"""Operators that do not change the meaning of numbers."""
_SOFTMAX, _SIGMOID = {"Softmax", "QLinearSoftmax"}, {"Sigmoid", "HardSigmoid", "QLinearSigmoid"}


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """The chosen output. ``others``: outputs not read; ``reason``: evidence for ``kind``."""

    name: str
    rank: int
    classes: int
    kind: LabelKind
    reason: str
    others: tuple[str, ...]


def output_facts(
    session: ort.InferenceSession,
    model: Path,
    spec: InputFacts,
    size: tuple[int, int],
    wanted: str | None,
    normalise: tuple[float, float],
) -> OutputFacts:
    """Choose the output to read, after a few runs.

    Args:
        session: of the ``model``.
        size: height and width of the input.
        wanted: an output's name; None for the first that could be classes.
        normalise: (gain, bias) that map 0..255 to about the range of the training data.

    Raises:
        CannotImport: no output has one number a class, or the model does not run.
    """
    names = [node.name for node in session.get_outputs()]
    if wanted is not None and wanted not in names:
        raise CannotImport(f"there is no output '{wanted}', but {', '.join(names)}")
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for image in _images(spec, size, normalise):
        images = np.repeat(image[np.newaxis], spec.batch or 1, axis=0)
        try:
            for name, output in zip(names, session.run(names, {spec.name: images}), strict=True):
                found[name].append(output)
        except Exception as error:
            message = f"the model does not run on {list(images.shape)}: {error}"
            raise CannotImport(message) from error
    readable = [name for name in names if _is_classes(found[name][0])]
    chosen = wanted or (readable[0] if readable else None)
    if chosen is None or chosen not in readable:
        shapes = ", ".join(f"'{name}' {list(np.shape(found[name][0]))}" for name in names)
        raise CannotImport(f"no output gives one float32 number a class: {shapes}")
    rows = [output.reshape(len(output), -1)[0] for output in found[chosen]]
    kind, reason = kind_of(rows, last_operator(model, chosen))
    return OutputFacts(
        chosen,
        found[chosen][0].ndim,
        rows[0].size,
        kind,
        reason,
        tuple(name for name in names if name != chosen),
    )


def kind_of(rows: Sequence[NDArray[np.float32]], operator: str) -> tuple[LabelKind, str]:
    """Return the kind of the outputs on several inputs, and the reason as a clause.

    Args:
        rows: one output [K] an input; rows that are not finite are ignored.
        operator: the last operator that changes numbers; empty if unknown.
    """
    rows = [row for row in rows if np.isfinite(row).all()]
    if not rows:
        return "logits", "its numbers are not finite"
    is_share = all(((row >= 0) & (row <= 1)).all() for row in rows)
    sums_to_one = all((row >= 0).all() and abs(row.sum() - 1) < _SUM_TOLERANCE for row in rows)
    if sums_to_one:
        return "probabilities", "its numbers sum to 1"
    if is_share and operator in _SOFTMAX:
        return "probabilities", "the graph ends in a softmax, although its numbers do not sum to 1"
    if is_share and operator in _SIGMOID:
        return "sigmoid", "the graph ends in a sigmoid"
    if is_share:
        return "sigmoid", "each number is 0..1, and they do not sum to 1"
    return "logits", "its numbers do not sum to 1"


def last_operator(model: Path, output: str) -> str:
    """Return the operator that computed an output, skipping those that move numbers; '' if none."""
    import onnx

    graph = onnx.load(str(model), load_external_data=False).graph
    makers = {name: node for node in graph.node for name in node.output}
    seen: set[str] = set()
    while output in makers and output not in seen:
        seen.add(output)
        node = makers[output]
        if node.op_type not in _MOVES_ONLY or not node.input:
            return str(node.op_type)
        output = node.input[0]
    return ""


def _images(
    spec: InputFacts, size: tuple[int, int], normalise: tuple[float, float]
) -> list[NDArray[np.float32]] | list[NDArray[np.uint8]]:
    item = (spec.channels, *size) if spec.layout is Layout.NCHW else (*size, spec.channels)
    noise = np.random.default_rng(0).integers(0, 256, (_NOISE, *item), np.uint8)
    shades = [np.full(item, shade, np.uint8) for shade in _SHADES]
    if spec.dtype is Dtype.UINT8:
        return [*noise, *shades]
    gain, bias = normalise
    prepared = [image * np.float32(gain) + np.float32(bias) for image in (*noise, *shades)]
    return prepared + [shade.astype(np.float32) for shade in shades]


def _is_classes(output: object) -> bool:
    return (
        isinstance(output, np.ndarray)
        and output.dtype == np.float32
        and 2 <= output.ndim <= 4
        and output.shape[1] > 1
        and output[0].size == max(output.shape[1:])
    )
