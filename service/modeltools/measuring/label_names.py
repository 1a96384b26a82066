"""Resolves a name written by a person to a label or a group."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.models import ModelManifest

Meaning = tuple[int | None, str]
"""The index of a label, or None for a group; and the name in the manifest's spelling."""


@dataclass(frozen=True, slots=True)
class LabelNames:
    """Names accepted for a model's labels: the labels, their synonyms and their groups."""

    known: Mapping[str, Meaning]

    @classmethod
    def of(cls, manifest: ModelManifest, labels: Sequence[str]) -> LabelNames:
        """Collect the names of a model.

        A label takes precedence over a group of the same name, and both over a synonym. A name of
        two labels is dropped: such an image would be judged wrong half of the time.
        """
        of_label = [(label, (k, label)) for k, label in enumerate(labels)]
        of_group = [(name, (None, name)) for name in manifest.groups.values()]
        meant = {**dict(of_group), **dict(of_label)}
        of_synonym = [
            (synonym, meant[name])
            for name, synonyms in manifest.synonyms.items()
            if name in meant
            for synonym in synonyms
        ]
        known: dict[str, Meaning | None] = {}
        for names in (of_label, of_group, of_synonym):
            known = {**_plainly(names), **known}
        return cls({name: meaning for name, meaning in known.items() if meaning is not None})

    def resolve(self, text: str) -> tuple[int | None, str | None]:
        """Return the index of the label, and the name of the label or group; None if unknown.

        Case, ``_`` and ``-`` for spaces, and surrounding spaces are ignored.
        """
        return self.known.get(plain_label(text), (None, None))


def _plainly(named: Iterable[tuple[str, Meaning]]) -> dict[str, Meaning | None]:
    """Map plain names to meanings; None for ambiguous names."""
    plainly: dict[str, Meaning | None] = {}
    for name, meaning in named:
        plain = plain_label(name)
        plainly[plain] = meaning if plainly.get(plain, meaning) == meaning else None
    return plainly


def plain_label(name: str) -> str:
    """Normalise a label for comparison: case-folded, ``_`` and ``-`` replaced by spaces."""
    # File systems of macOS store accents as separate characters (NFD).
    composed = unicodedata.normalize("NFC", name).casefold()
    return " ".join(composed.replace("_", " ").replace("-", " ").split())
