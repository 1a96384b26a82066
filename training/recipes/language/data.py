"""Paragraphs of the installation guide in all its languages, split by page."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.recipes.language import recipe

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Texts, class indices [N] and page numbers [N]."""

    texts: tuple[str, ...]
    labels_N: NDArray[np.int64]
    pages_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, chosen_N: NDArray[np.bool_]) -> Paragraphs:
        """Return the paragraphs that a mask selects."""
        kept = tuple(self.texts[number] for number in np.flatnonzero(chosen_N))
        return Paragraphs(kept, self.labels_N[chosen_N], self.pages_N[chosen_N])

    def short(self, characters: int) -> Paragraphs:
        """Return the beginning of each paragraph, cut at a space if there is one."""
        return Paragraphs(
            tuple(_beginning(text, characters) for text in self.texts), self.labels_N, self.pages_N
        )


def read(folder: Path) -> Paragraphs:
    """Read the paragraphs of the guide, in ``folder`` the languages with their HTML pages.

    Paragraphs that another language has too, untranslated ones above all, are left out, and so
    are repetitions.
    """
    found = {
        language: [
            (page.name, text)
            for page in sorted((folder / language).glob("*.html"))
            for text in _paragraphs(page)
        ]
        for language in recipe.LANGUAGES
    }
    shared = Counter(text for texts in found.values() for text in {text for _, text in texts})
    names = sorted({page for texts in found.values() for page, _ in texts})
    if not names:
        message = f"{folder} has no pages of the guide"
        raise ValueError(message)
    numbers = {page: number for number, page in enumerate(names)}
    rows = []
    for label, of_language in enumerate(found.values()):
        once = {text: page for page, text in reversed(of_language) if shared[text] == 1}
        rows += [(text, label, numbers[page]) for text, page in reversed(once.items())]
    texts, labels, pages = zip(*rows, strict=True)
    return Paragraphs(tuple(texts), np.array(labels), np.array(pages))


def folds_of(paragraphs: Paragraphs) -> list[NDArray[np.bool_]]:
    """Return masks [N] of the paragraphs of each fifth of the pages, alike in all languages."""
    pages = np.random.default_rng(recipe.SEED).permutation(np.unique(paragraphs.pages_N))
    return [
        np.isin(paragraphs.pages_N, pages[number :: recipe.FOLDS]) for number in range(recipe.FOLDS)
    ]


def normal(text: str) -> str:
    """Return a text as the server gives it to the tokenizer, by the manifest."""
    return unicodedata.normalize(recipe.FORM, text).lower()


def _paragraphs(page: Path) -> list[str]:
    reader = _Reader()
    reader.feed(page.read_text("utf-8", "replace"))
    return [text for text in reader.texts if _says_something(text)]


def _says_something(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return len(text) >= recipe.LEAST_CHARACTERS and letters > len(text) / 2


def _beginning(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    cut = text[:characters]
    return cut[: cut.rfind(" ")] if " " in cut[characters // 2 :] else cut


class _Reader(HTMLParser):
    """Collector of the text of ``<p>`` elements."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._parts: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag == "p":
            self._parts = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and self._parts is not None:
            self.texts.append(" ".join("".join(self._parts).split()))
            self._parts = None

    def handle_data(self, data: str) -> None:
        if self._parts is not None:
            self._parts.append(data)
