"""Hashed vectors are those of the stated hash, computed with Python's integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.preprocess.text.hashing import hashed_vectors
from tests.support.models.text.tokenizers import DIFFICULT

MASK = 2**64 - 1


def oracle(text: str, dimension: int, least: int, most: int) -> list[float]:
    """The vector by loops over whole numbers."""
    sums = [0] * dimension
    for length in range(least, most + 1):
        for start in range(len(text) - length + 1):
            value = 0xCBF29CE484222325
            for character in text[start : start + length]:
                value = ((value ^ ord(character)) * 0x100000001B3) & MASK
            value ^= value >> 33
            value = (value * 0xFF51AFD7ED558CCD) & MASK
            value ^= value >> 33
            sums[value % dimension] += -1 if value >> 63 else 1
    norm = math.sqrt(sum(number**2 for number in sums))
    return [number / norm if norm else 0.0 for number in sums]


@given(st.text(max_size=60), st.integers(1, 300), st.integers(1, 4), st.integers(0, 3))
def test_vector_is_that_of_the_stated_hash(
    text: str, dimension: int, least: int, more: int
) -> None:
    found = hashed_vectors([text], dimension, least, least + more)
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(oracle(text, dimension, least, least + more), abs=1e-6)


@pytest.mark.parametrize("text", DIFFICULT.values(), ids=DIFFICULT)
def test_vectors_have_length_one(text: str) -> None:
    (vector,) = hashed_vectors([text], 1024, 1, 3)
    assert np.linalg.norm(vector) == pytest.approx(1 if text else 0, abs=1e-6)


def test_rows_are_independent_and_alike_texts_are_close() -> None:
    texts = ["the sea is calm today", "the sea is calm to-day", "ნახვამდის"]
    vectors = hashed_vectors(texts, 2048, 1, 3)
    assert np.array_equal(vectors[1], hashed_vectors([texts[1]], 2048, 1, 3)[0])
    assert vectors[0] @ vectors[1] > 0.8
    assert abs(vectors[0] @ vectors[2]) < 0.2


def test_a_lone_surrogate_has_no_vector() -> None:
    with pytest.raises(UnicodeEncodeError):
        hashed_vectors(["\udfff"], 8, 1, 1)
