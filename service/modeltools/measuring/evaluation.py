"""What was found about a version: figures, each with the number of images that it rests on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` images out of ``of``."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """0..1; None out of nothing."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """One level: 0 is the labels, then their groups, then wider ones.

    Attributes:
        top1: the likeliest name of the level is right, out of the images for which one is.
        answered: images whose answer is a name of this level.
        precision: right ones out of those answers.
    """

    level: int
    top1: Share
    answered: Share
    precision: Share


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The images of one truth.

    ``right``: the likeliest label is right; where groups alone are named, the likeliest name of the
    level of the first. ``wrong_answers``: what was likeliest instead and how often, the most
    frequent first.
    """

    name: str
    is_label: bool
    right: Share
    wrong_answers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The surest images that name a label: how many, how often right, and how sure at least.

    All are 0..1.
    """

    coverage: float
    precision: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ForeignFigures:
    """Images that show nothing that the model knows. ``below``: see ``Evaluation``."""

    answered: Share
    answered_below: Share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A version on a set of images. Foreign images count where it says so, and nowhere else.

    Attributes:
        images: those of which something is known.
        labelled: those that name a label.
        top1, top5: a right label is the likeliest, among the five likeliest; of the labelled.
        levels: by level, the labels first.
        mean_per_class: mean of the classes' top-1, 0..1.
        negative_log_likelihood: mean of that of the right labels, in nats.
        expected_calibration_error: 15 bins of equal width (Guo et al., 2017), 0..1.
        answered: images that got a name at all; the others were "not sure".
        precision: right names out of those.
        answered_below: images that got a name, but not that of one of the widest groups.
        precision_below: right names out of those.
        precision_with_foreign: right names out of all that were given, also to foreign images.
        foreign: None if there were none.
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
