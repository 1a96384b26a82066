"""Decides which answers to an image are right, from what somebody said is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.modeltools.measuring.sample_images import SampleImage


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in an image.

    Attributes:
        names: labels and groups as the manifest spells them; empty for a foreign image, which
            shows nothing that the model knows, so that every answer is wrong.
        labels: indices of those names that are labels, 0..K-1.
        right: the names that are right as an answer.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    right: frozenset[str]

    @classmethod
    def of(cls, names: Sequence[str], labels: Sequence[str], groups: Mapping[str, str]) -> Truth:
        """Builds the truth for a model's ``labels`` (K names) and ``groups``."""
        indices = tuple(k for k, label in enumerate(labels) if label in names)
        return cls(tuple(names), indices, right_answers(names, groups))

    @property
    def is_foreign(self) -> bool:
        """Whether nothing that the model can say is right."""
        return not self.names

    @property
    def title(self) -> str:
        """The name that tables show: all alternatives."""
        return "|".join(self.names)


FOREIGN = Truth((), (), frozenset())


def right_answers(names: Iterable[str], groups: Mapping[str, str]) -> frozenset[str]:
    """Collects the names, and all groups that they belong to.

    What a group holds is not right: of a photo that is called "cat" nobody said "tabby".

    Args:
        groups: the wider group of a label or of a group, without cycles.
    """
    right: set[str] = set()
    for name in names:
        wider: str | None = name
        while wider is not None and wider not in right:
            right.add(wider)
            wider = groups.get(wider)
    return frozenset(right)


def truths_of(
    images: Iterable[SampleImage], labels: Sequence[str], groups: Mapping[str, str]
) -> list[Truth]:
    """The truth of each image, in their order; images of the same names share one."""
    known: dict[tuple[str, ...], Truth] = {(): FOREIGN}
    truths = []
    for image in images:
        if image.names not in known:
            known[image.names] = Truth.of(image.names, labels, groups)
        truths.append(known[image.names])
    return truths
