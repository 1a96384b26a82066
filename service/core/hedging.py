"""The finest answer that is sure enough: "Egyptian cat", else "cat", else "animal", else nothing.

A hierarchy sums the probabilities of a group's labels, and a threshold for each level decides how
far up one has to go: Deng et al., "Hedging your bets", CVPR 2012.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from schemas.models import ModelManifest
from service.core.answer import Named, Summary
from service.core.onnx_engine import ManifestMismatch


@dataclass(frozen=True, slots=True)
class Level:
    """Groups of one level. ``group_of_K``: for each label, its group's place in ``names``.

    A label without a group of this level stands for itself: ``heights`` says at which level a name
    really is.
    """

    names: tuple[str, ...]
    heights: tuple[int, ...]
    group_of_K: NDArray[np.intp]


class Hierarchy:
    """The levels above a model's labels, the narrowest first. Immutable; any thread may ask it."""

    def __init__(self, labels: Sequence[str], groups: Mapping[str, str]) -> None:
        """Builds the levels.

        Raises:
            ManifestMismatch: ``groups`` names what is neither a label nor a group, takes a label
                for a group, or needs labels that differ.
        """
        _check(labels, groups)
        self.labels = tuple(labels)
        self.levels: list[Level] = []
        names, heights = list(labels), [0] * len(labels)
        while any(name in groups for name in names):
            height = len(self.levels) + 1
            heights = [
                height if name in groups else below
                for name, below in zip(names, heights, strict=True)
            ]
            names = [groups.get(name, name) for name in names]
            places = {name: place for place, name in enumerate(dict.fromkeys(names))}
            height_of = dict(zip(names, heights, strict=True))
            self.levels.append(
                Level(
                    tuple(places),
                    tuple(height_of[name] for name in places),
                    np.array([places[name] for name in names], np.intp),
                )
            )

    def sums(self, shares_K: NDArray[np.floating], level: int) -> NDArray[np.float64]:
        """Probabilities of the groups of ``levels[level]``, in the order of its names."""
        found = self.levels[level]
        sums = np.bincount(found.group_of_K, weights=shares_K, minlength=len(found.names))
        return cast("NDArray[np.float64]", sums)

    def place(self, name: str) -> tuple[int, int] | None:
        """(level, place) of a label (level 0) or a group; None if there is no such name."""
        if name in self.labels:
            return 0, self.labels.index(name)
        for number, level in enumerate(self.levels, 1):
            if name in level.names:
                return number, level.names.index(name)
        return None


class Hedger:
    """Chooses the level of an answer by the thresholds of a manifest."""

    def __init__(self, manifest: ModelManifest, labels: Sequence[str]) -> None:
        """See ``Hierarchy`` for what is raised."""
        self.hierarchy = Hierarchy(labels, manifest.groups)
        wider = manifest.group_thresholds or (manifest.abstain_below,)
        count = len(self.hierarchy.levels)
        self._thresholds = (*wider, *[wider[-1]] * count)[:count]
        self._threshold = manifest.abstain_below

    def summary(self, shares_K: NDArray[np.float32]) -> Summary | None:
        """What to say first about one image; None: nothing is sure enough.

        Args:
            shares_K: calibrated probabilities of the labels.
        """
        labels = self.hierarchy.labels
        best = int(shares_K.argmax())
        score = float(shares_K[best])
        if score >= self._threshold:
            return Summary(labels[best], round(score, 6), 0, None)
        for number, threshold in enumerate(self._thresholds):
            level = self.hierarchy.levels[number]
            sums = self.hierarchy.sums(shares_K, number)
            place = int(sums.argmax())
            if sums[place] >= threshold:
                return self._group(shares_K, level, place, float(sums[place]))
        return None

    def _group(
        self, shares_K: NDArray[np.float32], level: Level, place: int, score: float
    ) -> Summary:
        members = np.flatnonzero(level.group_of_K == place)
        likeliest = int(members[shares_K[members].argmax()])
        perhaps = None
        if level.heights[place]:
            name = self.hierarchy.labels[likeliest]
            perhaps = Named(name, round(float(shares_K[likeliest]), 6))
        return Summary(level.names[place], round(min(score, 1.0), 6), level.heights[place], perhaps)


def _check(labels: Sequence[str], groups: Mapping[str, str]) -> None:
    known = set(labels)
    if groups and len(known) != len(labels):
        twice = next(label for label in labels if list(labels).count(label) > 1)
        raise ManifestMismatch("groups", f"needs labels that differ: '{twice}' is there twice")
    wider = set(groups.values())
    if both := sorted(known & wider):
        raise ManifestMismatch("groups", f"'{both[0]}' is a label and cannot be a group too")
    if strange := sorted(groups.keys() - known - wider):
        raise ManifestMismatch("groups", f"'{strange[0]}' is neither a label nor a group")
