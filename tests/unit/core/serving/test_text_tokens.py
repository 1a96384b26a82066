"""Texts of one call are divided among the threads, in order, and large ones into turns."""

from __future__ import annotations

import random

import pytest

from service.core.serving.text_tokens import (
    LARGE_CHARACTERS,
    MOST_PARTS,
    SMALL_CHARACTERS,
    _parts,
)


@pytest.mark.parametrize("seed", range(30))
def test_parts_are_the_texts_in_order(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    texts = ["x" * dice.choice([0, 1, 50, 3000, 20_000]) for _ in range(dice.randint(1, 300))]
    parts = _parts(texts, 4)
    assert [text for part in parts for text in part] == texts
    assert all(parts)
    assert len(parts) <= MOST_PARTS


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (["short"] * 64, 1),
        (["x" * SMALL_CHARACTERS] * 64, 64 * SMALL_CHARACTERS // LARGE_CHARACTERS),
        (["x" * 400] * 64, 2),
        (["x" * LARGE_CHARACTERS], 1),
        (["x" * LARGE_CHARACTERS] * 10, 10),
        (["x" * LARGE_CHARACTERS] * 1000, MOST_PARTS),
    ],
)
def test_count_depends_on_the_characters(texts: list[str], count: int) -> None:
    parts = _parts(texts, 2)
    assert len(parts) == count
    sizes = [sum(map(len, part)) for part in parts]
    assert max(sizes) <= 2 * sum(sizes) / count
