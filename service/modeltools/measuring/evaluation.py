"""Figures of an evaluated version, each with the number of images behind it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A share: ``count`` images out of ``of``."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The share as a number, 0..1; None if ``of`` is 0."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """Figures of one level: 0 is the labels, then their groups, then wider groups.

    Attributes:
        top1: images whose likeliest name is right, out of those with a right name on this level.
        answered: images whose answer is a name of this level.
        precision: right answers out of those.
    """

    level: int
    top1: Share
    answered: Share
    precision: Share


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of the images with one truth.

    ``right``: the likeliest label is right; for a truth of groups alone, the likeliest name on the
    level of the first group. ``wrong_answers``: likeliest wrong names and their counts, the most
    frequent first.
    """

    name: str
    is_label: bool
    right: Share
    wrong_answers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The most confident labelled images: their share, precision and lowest score, each 0..1."""

    coverage: float
    precision: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ForeignFigures:
    """Figures of images that show nothing the model knows. ``below``: see ``Evaluation``."""

    answered: Share
    answered_below: Share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Evaluation of a version on a set of images. Foreign images count only where stated.

    Attributes:
        images: images with a known name.
        labelled: images whose truth has a label.
        top1, top5: labelled images with a right label as the likeliest, among the five likeliest.
        levels: by level, the labels first.
        mean_per_class: mean of the classes' top-1, 0..1.
        negative_log_likelihood: mean over the labelled images, of the right labels, in nats.
        expected_calibration_error: 15 bins of equal width (Guo et al., 2017), 0..1.
        answered: images that got a name; the others were "not sure".
        precision: right names out of those.
        answered_below: images that got a name below the widest groups.
        precision_below: right names out of those.
        precision_with_foreign: right names out of all given, including to foreign images.
        foreign: None without foreign images.
        curve: precision of the labels against coverage, in steps of 5%.
        classes: by name, those with the most images first.
    """

    images: int
    labelled: int
    top1: Share
    top5: Share
    levels: tuple[LevelFigures, ...]
    mean_per_class: float | None
    negative_log_likelihood: float | None
    expected_calibration_error: float | None
    answered: Share
    precision: Share
    answered_below: Share
    precision_below: Share
    precision_with_foreign: Share
    foreign: ForeignFigures | None
    curve: tuple[CurvePoint, ...]
    classes: tuple[ClassFigures, ...]
