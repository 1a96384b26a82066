"""Decides which answers to an image are right, from its stated content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.modeltools.measuring.sample_images import SampleImage


@dataclass(frozen=True, slots=True)
class Truth:
    """The content of an image.

    Attributes:
        names: labels and groups in the manifest's spelling; empty for a foreign image, which
            shows nothing the model knows, so that every answer is wrong.
        labels: indices of those names that are labels, 0..K-1.
        right: the names that are right as an answer.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    right: frozenset[str]

    @classmethod
    def of(cls, names: Sequence[str], labels: Sequence[str], groups: Mapping[str, str]) -> Truth:
        """Build the truth for a model's ``labels`` (K names) and ``groups``."""
        indices = tuple(k for k, label in enumerate(labels) if label in names)
        return cls(tuple(names), indices, right_answers(names, groups))

    @property
    def is_foreign(self) -> bool:
        """Whether every answer of the model is wrong."""
        return not self.names

    @property
    def title(self) -> str:
        """The name shown in tables: all alternatives."""
        return "|".join(self.names)


FOREIGN = Truth((), (), frozenset())


def right_answers(names: Iterable[str], groups: Mapping[str, str]) -> frozenset[str]:
    """Collect the names, and all groups that they belong to.

    Members of a named group are not right: the truth "cat" does not include "tabby".

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
    """Return the truth of each image, in order; images of the same names share one."""
    known: dict[tuple[str, ...], Truth] = {(): FOREIGN}
    truths = []
    for image in images:
        if image.names not in known:
            known[image.names] = Truth.of(image.names, labels, groups)
        truths.append(known[image.names])
    return truths
