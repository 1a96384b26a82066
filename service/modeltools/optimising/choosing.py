"""Chooses how a model is quantised: the nearest to the original of those that are as fast.

Each candidate answers the same photos, in turns with the others. Its time is the least of a run on
its thread, so that other load counts little. How near one is, is the share of the probability that
it moves from one class to another: unlike the accuracy it needs no labels, and it tells candidates
apart on few photos.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from schemas.models import ModelManifest
from service.core.engine.engine import Images
from service.core.engine.onnx_engine import OnnxEngine
from service.modeltools.optimising.calibrating import Calibration, Histogram
from service.modeltools.optimising.comparing import shares
from service.modeltools.optimising.progress import Progress
from service.modeltools.optimising.quantising import WeightBits, as_refusals, write_quantised

AS_FAST = 1.05
"""Greatest ratio of run times at which a candidate is as fast as another."""
ALL_RANGES = tuple(Calibration)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to quantise a graph. ``float_ends``: the first and last layer stay float32."""

    calibration: Calibration
    weight_bits: WeightBits
    float_ends: bool = False

    @property
    def title(self) -> str:
        """The recipe in words."""
        ends = ", first and last layer in float32" if self.float_ends else ""
        return f"{self.calibration}, weights of {self.weight_bits} bits{ends}"


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate: its file, the share of probability that it moves, 0..1, and its least time."""

    recipe: Recipe
    file: Path
    moved: float
    run_ms: float

    def facts(self) -> dict[str, object]:
        """Return the figures for the report."""
        figures = {"moved": round(self.moved, 5), "run_ms": round(self.run_ms, 3)}
        return {**asdict(self.recipe), **figures}


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate taken, all that were tried, and why it is this one, as sentences."""

    taken: Tried
    tried: tuple[Tried, ...]
    reason: str


class Chooser:
    """Tries recipes for one graph. Its candidates are files beside ``target``."""

    def __init__(
        self,
        graph: Path,
        target: Path,
        manifest: ModelManifest,
        original: OnnxEngine,
        found: Mapping[str, Histogram],
        images: Sequence[Images],
        progress: Progress,
    ) -> None:
        """``graph``: prepared; ``found``: its activations; ``images``: those to compare on."""
        self._graph, self._target, self._manifest = graph, target, manifest
        self._images, self._progress = images, progress
        self._ranges = {
            method: {name: one.range_by(method) for name, one in found.items()}
            for method in ALL_RANGES
        }
        self._expected = [shares(original, manifest, image) for image in images]

    def choose(self, weight_bits: WeightBits) -> Choice:
        """Try each calibration, with the ends in INT8 and in float32. Blocks, for minutes.

        Raises:
            NotOptimised: the graph cannot be quantised.
        """
        tried = self._try(
            [Recipe(method, weight_bits, ends) for ends in (False, True) for method in ALL_RANGES]
        )
        whole = nearest([one for one in tried if not one.recipe.float_ends])
        with_ends = nearest([one for one in tried if one.recipe.float_ends])
        taken = with_ends if gains(whole, with_ends) else whole
        return Choice(taken, tuple(tried), _reason(taken, tried, whole, with_ends))

    def _try(self, recipes: Sequence[Recipe]) -> list[Tried]:
        files, engines = [], []
        for number, recipe in enumerate(recipes, 1):
            ends = ".ends" if recipe.float_ends else ""
            file = self._target.with_suffix(f".{recipe.calibration}{ends}")
            with as_refusals():
                write_quantised(
                    self._graph,
                    file,
                    self._ranges[recipe.calibration],
                    weight_bits=recipe.weight_bits,
                    float_ends=recipe.float_ends,
                )
            files.append(file)
            engines.append(OnnxEngine(file, self._manifest))
            self._progress("quantising", number, len(recipes))
        moved = np.zeros(len(recipes))
        least = np.full(len(recipes), np.inf)
        for number, (image, expected_K) in enumerate(
            zip(self._images, self._expected, strict=True)
        ):
            for candidate, engine in enumerate(engines):
                began = time.thread_time()
                shares_K = shares(engine, self._manifest, image)
                spent = time.thread_time() - began
                moved[candidate] += np.abs(shares_K - expected_K).sum() / 2
                least[candidate] = min(least[candidate], spent)
            self._progress("choosing", number, len(self._images))
        return [
            Tried(recipe, file, float(total) / len(self._images), 1000 * float(seconds))
            for recipe, file, total, seconds in zip(recipes, files, moved, least, strict=True)
        ]


def nearest(tried: Sequence[Tried]) -> Tried:
    """Return the candidate nearest to the original, of those as fast as the fastest."""
    fastest = min(one.run_ms for one in tried)
    return min((one for one in tried if one.run_ms <= AS_FAST * fastest), key=lambda one: one.moved)


def gains(whole: Tried, with_ends: Tried) -> bool:
    """Return whether float32 ends bring the candidate nearer, and at no more than 5 % of time."""
    return with_ends.moved < whole.moved and with_ends.run_ms <= AS_FAST * whole.run_ms


def _reason(taken: Tried, tried: Sequence[Tried], whole: Tried, with_ends: Tried) -> str:
    figures = ", ".join(
        f"{one.recipe.calibration} {one.moved:.2%} in {one.run_ms:.2f} ms"
        for one in tried
        if not one.recipe.float_ends
    )
    more = with_ends.run_ms / whole.run_ms - 1
    verdict = "stay in float32" if taken is with_ends else "are INT8 too"
    return (
        f"share of probability moved: {figures}. The first and last layer {verdict}: in float32, "
        f"{with_ends.moved:.2%} is moved instead of {whole.moved:.2%}, for {more:+.1%} of time"
    )
