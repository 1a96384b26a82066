"""Vectors of hashed n-grams of characters (Weinberger et al., 2009), for models without tokens.

The hash is stated, so that training computes the same vector anywhere. An n-gram of the code
points c is hashed in 64-bit arithmetic without a sign, as FNV-1a with code points for bytes:

    h = 0xCBF29CE484222325
    for each c:  h = (h XOR c) * 0x100000001B3 mod 2**64
    h = h XOR (h >> 33);  h = h * 0xFF51AFD7ED558CCD mod 2**64;  h = h XOR (h >> 33)

The two last lines are a step of MurmurHash3's finaliser: FNV's lowest bits are weak. The n-gram adds
+1, or -1 if the highest bit of h is set, to the element ``h mod dimension``; a vector is divided by
its Euclidean norm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OFFSET, PRIME, MIXER = (
    np.uint64(0xCBF29CE484222325),
    np.uint64(0x100000001B3),
    np.uint64(0xFF51AFD7ED558CCD),
)
_SHIFT, _TOP = np.uint64(33), np.uint64(63)


def hashed_vectors(
    texts: Sequence[str], dimension: int, least: int, most: int
) -> NDArray[np.float32]:
    """Return a vector of length 1 for each text, float32 [N, dimension].

    A text without n-grams gets zeros. Texts must not hold lone surrogates.

    Args:
        least: characters of the shortest n-grams, at least 1.
        most: characters of the longest ones.
    """
    vectors_ND = np.zeros((len(texts), dimension), np.float32)
    for number, text in enumerate(texts):
        points = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64)
        vectors_ND[number] = _vector(points, dimension, least, most)
    return vectors_ND


def _vector(
    points: NDArray[np.uint64], dimension: int, least: int, most: int
) -> NDArray[np.float64]:
    sums = np.zeros(dimension)
    for length in range(least, min(most, len(points)) + 1):
        hashes = _hashes(points, length)
        signs = 1.0 - 2.0 * (hashes >> _TOP).astype(np.float64)
        places = (hashes % np.uint64(dimension)).astype(np.int64)
        sums += np.bincount(places, signs, dimension)
    norm = float(np.sqrt(np.square(sums).sum()))
    return sums / norm if norm else sums


def _hashes(points: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Return the hash of each n-gram of one length, in order."""
    count = len(points) - length + 1
    hashes = np.full(count, OFFSET)
    for place in range(length):
        hashes ^= points[place : place + count]
        hashes *= PRIME
    hashes ^= hashes >> _SHIFT
    hashes *= MIXER
    hashes ^= hashes >> _SHIFT
    return hashes
