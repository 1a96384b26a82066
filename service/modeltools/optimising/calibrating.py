"""Ranges of activations for INT8, by three methods, from one pass over the calibration images.

ONNX Runtime's own tools for entropy and percentiles keep every activation of every image in memory.
Here each tensor has a histogram of a fixed number of bins, and one image is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.engine.engine import Images
from service.modeltools.optimising.progress import NotOptimised, Progress

BINS = 2048
"""Bins of a histogram, over -reach..reach. An even number, so that halves can be merged."""
TAIL = 0.00005
"""Share of the values that the percentile method cuts off at each end: 99.99 % are kept."""
LEVELS = 128
"""Levels that a quantised magnitude has: INT8 without its sign."""
_STEP = 8

Range = tuple[float, float]
Ranges = Mapping[str, Range]
"""The least and greatest value to be represented, by tensor."""


class Calibration(StrEnum):
    """How the range of an activation is chosen."""

    MINMAX = "minmax"
    """The least and greatest value seen: nothing is cut off."""
    ENTROPY = "entropy"
    """The range whose quantised values have the nearest distribution (Migacz, GTC 2017)."""
    PERCENTILE = "percentile"
    """The range of 99.99 % of the values."""


class Histogram:
    """The values of one tensor so far: least, greatest, and how many fell into each bin.

    The reach is a power of two. If a value is beyond it, it doubles, and pairs of bins become one:
    the result does not depend on the order of the images.
    """

    def __init__(self) -> None:
        self.low, self.high = np.float32(np.inf), np.float32(-np.inf)
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.zeros = 0
        self.reach = 0.0

    def add(self, values: NDArray[np.float32], *, only_range: bool = False) -> None:
        """Add the values of one image, of any shape.

        Raises:
            NotOptimised: if one is not finite.
        """
        flat = values.ravel()
        if not flat.size:
            return
        low, high = flat.min(), flat.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise NotOptimised("an activation of a calibration image is not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        peak = float(max(-self.low, self.high))
        if only_range or peak == 0:
            self.zeros += flat.size - int(np.count_nonzero(flat))
            return
        if not self.reach:
            self.reach = 2.0 ** math.ceil(math.log2(peak))
        while peak > self.reach:
            self._double()
        bins = ((flat + np.float32(self.reach)) * np.float32(BINS / 2 / self.reach)).astype(np.intp)
        np.minimum(bins, BINS - 1, out=bins)
        self.counts += np.bincount(bins, minlength=BINS)
        zeros = flat.size - int(np.count_nonzero(flat))
        self.counts[BINS // 2] -= zeros
        self.zeros += zeros

    def range_by(self, method: Calibration) -> Range:
        """Return the range that a method chooses; (0, 0) without values."""
        if self.low > self.high:
            return 0.0, 0.0
        low, high = float(self.low), float(self.high)
        if self.reach and method is Calibration.PERCENTILE:
            below, above = self._percentiles()
            low, high = max(low, below), min(high, above)
        elif self.reach and method is Calibration.ENTROPY:
            limit = self._entropy_limit()
            low, high = max(low, -limit), min(high, limit)
        return low, high

    def _double(self) -> None:
        pairs = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros(BINS, np.int64)
        self.counts[BINS // 4 : BINS // 4 + BINS // 2] = pairs
        self.reach *= 2

    def _percentiles(self) -> tuple[float, float]:
        counts = self.counts.copy()
        counts[BINS // 2] += self.zeros
        shares = np.cumsum(counts) / counts.sum()
        width = 2 * self.reach / BINS
        left = int(np.searchsorted(shares, TAIL, side="right"))
        right = int(np.searchsorted(shares, 1 - TAIL))
        return left * width - self.reach, (right + 1) * width - self.reach

    def _entropy_limit(self) -> float:
        """Return the magnitude at which to cut off.

        Zeros do not count: they are represented exactly, and after a ReLU they are most values.
        """
        half = BINS // 2
        magnitudes = self.counts[half:] + self.counts[:half][::-1]
        best, limit = math.inf, half
        for kept in range(LEVELS, half + 1, _STEP):
            divergence = _divergence(magnitudes, kept)
            if divergence <= best:
                best, limit = divergence, kept
        return limit * self.reach / half


def _divergence(counts: NDArray[np.int64], kept: int) -> float:
    """Return the relative entropy between the values cut off at a bin and their quantised form."""
    inside = counts[:kept].astype(np.float64)
    if not inside.any():
        return math.inf
    level = np.arange(kept) * LEVELS // kept
    filled = inside > 0
    sums = np.bincount(level, weights=inside, minlength=LEVELS)
    members = np.bincount(level, weights=filled, minlength=LEVELS)
    quantised = np.where(filled, sums[level] / np.maximum(members[level], 1), 0)
    cut = inside.copy()
    cut[-1] += counts[kept:].sum()
    p, q = cut / cut.sum(), np.maximum(quantised / quantised.sum(), 1e-9)
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / q[some])))


def collect(
    prepared: Path,
    input_name: str,
    images: Sequence[Images],
    progress: Progress,
    *,
    only_ranges: bool = False,
) -> dict[str, Histogram]:
    """Run the images and collect the values of every float tensor. Blocks, for seconds to minutes.

    Args:
        prepared: the graph as ``quantising.prepare`` writes it.
        only_ranges: no histograms, which only ``minmax`` can do without.

    Raises:
        NotOptimised: an activation is not finite.
    """
    from observability.onnx_runtime import ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    augmented = prepared.with_suffix(".augmented")
    try:
        names = _write_augmented(prepared, augmented)
        session = ort.InferenceSession(str(augmented), options, providers=["CPUExecutionProvider"])
    finally:
        augmented.unlink(missing_ok=True)
    found = {name: Histogram() for name in names}
    computed = [node.name for node in session.get_outputs() if node.name in found]
    for number, image in enumerate(images, 1):
        values = dict(zip(computed, session.run(computed, {input_name: image}), strict=True))
        if input_name in found:
            values[input_name] = image
        for name, value in values.items():
            found[name].add(np.asarray(value, np.float32), only_range=only_ranges)
        progress("calibrating", number, len(images))
    return found


def _write_augmented(prepared: Path, augmented: Path) -> set[str]:
    """Write the graph with every tensor that is calibrated as an output; return their names."""
    import onnx

    from observability.onnx_runtime import part

    operators = part("quantization.registry")
    kinds = {*operators.QLinearOpsRegistry, *operators.QDQRegistry}
    model = onnx.load(str(prepared))
    graph = model.graph
    known = {info.name: info for info in (*graph.value_info, *graph.output, *graph.input)}
    constant = {tensor.name for tensor in graph.initializer}
    names = {
        name
        for node in graph.node
        if node.op_type in kinds
        for name in (*node.input, *node.output)
        if name in known
        and name not in constant
        and known[name].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    given = {info.name for info in (*graph.output, *graph.input)}
    graph.output.extend(known[name] for name in sorted(names - given))
    onnx.save(model, str(augmented))
    return names
