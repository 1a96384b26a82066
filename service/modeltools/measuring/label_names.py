"""Finds the label or the group that people mean by a name, as they write it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from schemas.models import ModelManifest

Meaning = tuple[int | None, str]
"""The index of a label, or None for a group; and its name as the manifest spells it."""


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What a model's labels may be called: by themselves, by their synonyms, by their groups."""

    known: Mapping[str, Meaning]

    @classmethod
    def of(cls, manifest: ModelManifest, labels: Sequence[str]) -> LabelNames:
        """Collects the names of a model.

        A label goes before a group of the same name, and both before a synonym. A name that means
        two labels means none: such an image would be judged wrong half of the time.
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
        """The index of the label, and the name of the label or the group; None for none.

        Upper and lower case, ``_`` and ``-`` for spaces, and spaces around make no difference.
        """
        return self.known.get(plain_label(text), (None, None))


def _plainly(named: Iterable[tuple[str, Meaning]]) -> dict[str, Meaning | None]:
    """By plain name; None for those that mean more than one thing."""
    plainly: dict[str, Meaning | None] = {}
    for name, meaning in named:
        plain = plain_label(name)
        plainly[plain] = meaning if plainly.get(plain, meaning) == meaning else None
    return plainly


def plain_label(name: str) -> str:
    """Writes a label as it is compared: in any case, with ``_`` and ``-`` for spaces."""
    # File systems of macOS spell accents as letters of their own (NFD).
    composed = unicodedata.normalize("NFC", name).casefold()
    return " ".join(composed.replace("_", " ").replace("-", " ").split())
