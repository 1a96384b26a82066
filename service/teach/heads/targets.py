"""What a head is fitted to, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.arrays import Numbers
from service.teach.heads.head import HeadKind
from service.teach.heads.problems import CannotFit

HeadChoice = Literal["best", "linear", "kernel"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The labels of N photos: see ``of_labels`` and ``of_presence``.

    Attributes:
        present_NK: bool [N photos, K labels]: whether the photo has the label.
        known_NK: bool [N, K]: where ``present_NK`` is known; all of it for softmax.
        kind: softmax if each photo has exactly one label.
    """

    present_NK: NDArray[np.bool_]
    known_NK: NDArray[np.bool_]
    kind: HeadKind

    @classmethod
    def of_labels(cls, labels_N: NDArray[np.integer], classes: int) -> Targets:
        """Return the targets of photos with one label each, 0 to ``classes`` - 1."""
        labels = np.asarray(labels_N, np.int64)
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            message = f"Labels must be 0 to {classes - 1}."
            raise CannotFit(message)
        present = labels[:, np.newaxis] == np.arange(classes)
        return cls(present, np.ones_like(present), "softmax")

    @classmethod
    def of_presence(
        cls, present_NK: NDArray[np.bool_], known_NK: NDArray[np.bool_] | None = None
    ) -> Targets:
        """Return the targets of photos with any number of labels; all known if not given."""
        present = np.asarray(present_NK, np.bool_)
        known = np.ones_like(present) if known_NK is None else np.asarray(known_NK, np.bool_)
        return cls(present & known, known, "sigmoid")

    @property
    def labels_N(self) -> NDArray[np.int64]:  # noqa: N802 - the name has its axis
        """The label of each photo, int64 [N]; of softmax targets only."""
        labels: NDArray[np.int64] = np.argmax(self.present_NK, axis=1)
        return labels

    @property
    def counts_K(self) -> NDArray[np.int64]:  # noqa: N802 - the name has its axis
        """The number of photos with each label."""
        counts: NDArray[np.int64] = np.count_nonzero(self.present_NK, axis=0)
        return counts

    def at(self, photos: NDArray[np.integer] | NDArray[np.bool_]) -> Targets:
        """Select some of the photos."""
        return Targets(self.present_NK[photos], self.known_NK[photos], self.kind)

    def __len__(self) -> int:
        return len(self.present_NK)

    def numbers(self) -> Numbers:
        """Return 1 for present labels, and 0 for others, float64 [N, K]."""
        return self.present_NK.astype(np.float64)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a head is fitted.

    Attributes:
        strength: of the ridge, above 0, larger is smoother; None: chosen by leave-one-group-out.
        class_weights: ``balanced`` gives each label the same weight, however many photos it has;
            of photos with several labels, each photo counts alike.
        kind: of head: ``linear``, ``kernel`` (linear if all photos are alike), or ``best``, the one
            with the smaller held-out error.
    """

    strength: float | None = None
    class_weights: Literal["balanced", "none"] = "balanced"
    kind: HeadChoice = "best"
