"""Choice of the most specific certain answer: "Egyptian cat", "cat", "animal", or none.

A hierarchy sums the probabilities of a group's labels, and a threshold for each level decides which
level is answered: Deng et al., "Hedging your bets", CVPR 2012.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from schemas.models import ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.answer import Named, Summary

NEVER = 1.0
"""The threshold of a level that is never named: large networks are often certain and wrong."""


@dataclass(frozen=True, slots=True)
class Level:
    """Groups of one level. ``group_of_K``: for each label, the index of its group in ``names``.

    A label without a group on this level is its own group: ``heights`` holds the actual level of
    each name. ``members``: the indices of the labels of each name.
    """

    names: tuple[str, ...]
    heights: tuple[int, ...]
    group_of_K: NDArray[np.intp]
    members: tuple[tuple[int, ...], ...]


class Hierarchy:
    """The levels above a model's labels, narrowest first. Immutable and safe for all threads."""

    def __init__(self, labels: Sequence[str], groups: Mapping[str, str]) -> None:
        """Build the levels.

        On level L every label belongs to its widest group of height L or less, so that a group is
        always complete.

        Raises:
            ManifestMismatch: ``groups`` has a name that is neither a label nor a group, uses a
                label as a group, or needs labels that differ.
        """
        _check(labels, groups)
        self.labels = tuple(labels)
        self.widest = frozenset(groups.values()) - groups.keys()
        self.levels: list[Level] = []
        height_of = _heights(labels, groups)
        names = list(labels)
        for height in range(1, max(height_of.values(), default=0) + 1):
            names = [_widest(name, groups, height_of, height) for name in names]
            places = {name: place for place, name in enumerate(dict.fromkeys(names))}
            group_of_K = np.array([places[name] for name in names], np.intp)
            heights = tuple(height_of[name] for name in places)
            members: list[list[int]] = [[] for _ in places]
            for label, name in enumerate(names):
                members[places[name]].append(label)
            level = Level(tuple(places), heights, group_of_K, tuple(map(tuple, members)))
            self.levels.append(level)

    def sums(self, shares_K: NDArray[np.floating], level: int) -> NDArray[np.float64]:
        """Return the probabilities of the groups of ``levels[level]``, in order of its names.

        NumPy copies ``shares_K`` unless they are float64.
        """
        found = self.levels[level]
        sums = np.bincount(found.group_of_K, weights=shares_K, minlength=len(found.names))
        return cast("NDArray[np.float64]", sums)

    def place(self, name: str) -> tuple[int, int] | None:
        """Return (level, index) of a label (level 0) or a group; None if the name is unknown."""
        if name in self.labels:
            return 0, self.labels.index(name)
        for number, level in enumerate(self.levels, 1):
            if name in level.names:
                return number, level.names.index(name)
        return None


class Hedger:
    """Chooser of the level of an answer, by the thresholds of a manifest.

    Unnamed labels count for their group but are never answered.
    """

    def __init__(self, manifest: ModelManifest, labels: Sequence[str]) -> None:
        """Build the hierarchy. See ``Hierarchy`` for the exceptions."""
        self.hierarchy = Hierarchy(labels, manifest.groups)
        self._unnamed = _unnamed(labels, manifest.unnamed)
        wider = manifest.group_thresholds or (manifest.abstain_below,)
        count = len(self.hierarchy.levels)
        self._barred = [self._alone(level) for level in self.hierarchy.levels]
        self._thresholds = (manifest.abstain_below, *wider, *[wider[-1]] * count)[: count + 1]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Least probability for naming a label, then a group of each level, 0..``NEVER``."""
        return self._thresholds

    def summary(self, shares_K: NDArray[np.floating]) -> Summary | None:
        """Return the finest answer for one image; None if no level reaches its threshold.

        Args:
            shares_K: calibrated probabilities of the labels.
        """
        for level, (name, height, score) in enumerate(self.best(shares_K)):
            if self._thresholds[level] < NEVER and score >= self._thresholds[level]:
                perhaps = self._likeliest(shares_K, level, name) if height else None
                return Summary(name, round(min(score, 1.0), 6), height, perhaps)
        return None

    def best(self, shares_K: NDArray[np.floating]) -> Iterator[tuple[str, int, float]]:
        """Yield the likeliest allowed name of each level: name, height, probability."""
        label = self._best_label(shares_K)
        yield self.hierarchy.labels[label], 0, float(shares_K[label])
        wide_K = shares_K.astype(np.float64)  # once, not for each level
        for number, level in enumerate(self.hierarchy.levels):
            sums = self.hierarchy.sums(wide_K, number)
            if barred := self._barred[number]:
                sums[barred] = -1
            place = int(sums.argmax())
            yield level.names[place], level.heights[place], float(sums[place])

    def _best_label(self, shares_K: NDArray[np.floating]) -> int:
        best = int(shares_K.argmax())
        if best not in self._unnamed:
            return best
        named = shares_K.copy()
        named[list(self._unnamed)] = -1
        return int(named.argmax())

    def _alone(self, level: Level) -> list[int]:
        """Return the indices of unnamed labels that are their own group on a level."""
        places = [int(level.group_of_K[label]) for label in self._unnamed]
        return [place for place in places if not level.heights[place]]

    def _likeliest(self, shares_K: NDArray[np.floating], number: int, name: str) -> Named | None:
        """Return the likeliest label of a group of level ``number``; None if it is unnamed."""
        level = self.hierarchy.levels[number - 1]
        members = level.members[level.names.index(name)]
        label = members[int(shares_K[list(members)].argmax())]
        if label in self._unnamed:
            return None
        return Named(self.hierarchy.labels[label], round(float(shares_K[label]), 6))


def _unnamed(labels: Sequence[str], names: Sequence[str]) -> frozenset[int]:
    if strange := sorted(set(names) - set(labels)):
        raise ManifestMismatch("unnamed", f"'{strange[0]}' is not a label")
    found = frozenset(index for index, label in enumerate(labels) if label in set(names))
    if labels and len(found) == len(labels):
        raise ManifestMismatch("unnamed", "lists every label")
    return found


def _heights(labels: Sequence[str], groups: Mapping[str, str]) -> dict[str, int]:
    """Return heights: 0 for labels; a group is one higher than its highest member."""
    heights = dict.fromkeys(labels, 0)
    for label in labels:
        name, height = label, 0
        while (wider := groups.get(name)) is not None:
            name, height = wider, height + 1
            heights[name] = max(height, heights.get(name, 0))
    return heights


def _widest(name: str, groups: Mapping[str, str], heights: Mapping[str, int], height: int) -> str:
    """Return the widest group above ``name`` of at most ``height``, or ``name`` itself."""
    while (wider := groups.get(name)) is not None and heights[wider] <= height:
        name = wider
    return name


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
