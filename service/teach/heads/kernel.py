"""A fixed map after which a linear head is a kernel machine: Gaussian similarities to photos.

Features get their signed square roots and then length 1. With landmarks ``l``, photos of the
dataset, and ``k(x) = exp(-|x - l|^2 / scale)``, the map is ``k(x) T``, where ``T T'`` is the
inverse of the similarities of the landmarks to one another (Williams and Seeger, "Using the
Nyström method to speed up kernel machines", 2001). If all photos are landmarks, a ridge of these
numbers is kernel ridge regression: it tells photos by those they look like, which a ridge of
features cannot. Labels are not used, so held-out answers of the ridge stay held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.teach.heads.arrays import Features, Numbers, of_length_one

MOST_LANDMARKS = 2048
"""With 512 of 1,894 photos (trashnet6), little more than the accuracy of a ridge was left."""
MOST_DIRECTIONS = 256
"""Principal directions in which landmarks are compared, if there are many landmarks."""
_SEED = 17
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class KernelMap:
    """The map, from D features to R numbers.

    Attributes:
        directions_DP: float64 [D, P] in which photos are compared; None: in all.
        landmarks_MP: float64 [M, P]; P is D without directions.
        scale: of squared distances, above 0.
        whitening_MR: float64 [M, R]: similarities times this have inner products like those of
            the kernel.
    """

    directions_DP: Numbers | None
    landmarks_MP: Numbers
    scale: float
    whitening_MR: Numbers

    @property
    def features(self) -> int:
        """The number of features of a photo, D."""
        return int(
            (self.landmarks_MP.T if self.directions_DP is None else self.directions_DP).shape[0]
        )

    def __call__(self, features_ND: Features) -> Numbers:
        """Return the numbers of N photos, float64 [N, R]."""
        mapped_NR: Numbers = self.similarities(features_ND) @ self.whitening_MR
        return mapped_NR

    def similarities(self, features_ND: Features) -> Numbers:
        """Return the similarity of each photo to each landmark, float64 [N, M], 0 to 1."""
        x_NP = of_rooted_length_one(features_ND)
        if self.directions_DP is not None:
            x_NP = x_NP @ self.directions_DP
        found_NM: Numbers = np.exp(-_squared_distances(x_NP, self.landmarks_MP) / self.scale)
        return found_NM


def fit_kernel(features_ND: Features) -> KernelMap | None:
    """Return the map for a dataset; None if its photos are all alike.

    The scale is the median squared distance of two landmarks.

    Args:
        features_ND: float [N, D], finite; of more than ``MOST_LANDMARKS`` photos some are chosen
            at random, the same ones each time.
    """
    photos = len(features_ND)
    chosen = np.arange(photos)
    if photos > MOST_LANDMARKS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(photos, MOST_LANDMARKS, replace=False))
    landmarks_MP = of_rooted_length_one(features_ND[chosen])
    directions_DP = _directions(landmarks_MP)
    if directions_DP is not None:
        landmarks_MP = landmarks_MP @ directions_DP
    squares_MM = _squared_distances(landmarks_MP, landmarks_MP)
    pairs = squares_MM[np.triu_indices(len(squares_MM), 1)]
    scale = float(np.median(pairs)) if len(pairs) else 0.0
    if not scale > _NEGLIGIBLE:
        return None
    values_M, vectors_MM = np.linalg.eigh(np.exp(-squares_MM / scale))
    kept_M = values_M > values_M.max() * _NEGLIGIBLE
    whitening_MR = vectors_MM[:, kept_M] / np.sqrt(values_M[kept_M])
    return KernelMap(directions_DP, landmarks_MP, scale, whitening_MR)


def of_rooted_length_one(features_ND: Features) -> Numbers:
    """Return features with signed square roots, divided by their length, float64 [N, D].

    Features of networks have long tails; of two photos, the few large ones would decide.
    """
    x_ND = np.asarray(features_ND, np.float64)
    return of_length_one(np.sign(x_ND) * np.sqrt(np.abs(x_ND)))


def _directions(x_MD: Numbers) -> Numbers | None:
    """Return principal directions [D, P], if with them the map has fewer numbers."""
    landmarks, width = x_MD.shape
    if width <= MOST_DIRECTIONS or landmarks * (width - MOST_DIRECTIONS) <= width * MOST_DIRECTIONS:
        return None
    centred_MD = x_MD - x_MD.mean(axis=0)
    _, vectors_DD = np.linalg.eigh(centred_MD.T @ centred_MD)
    return np.ascontiguousarray(vectors_DD[:, -MOST_DIRECTIONS:])


def _squared_distances(a_NP: Numbers, b_MP: Numbers) -> Numbers:
    lengths_N = np.einsum("np,np->n", a_NP, a_NP)
    lengths_M = np.einsum("mp,mp->m", b_MP, b_MP)
    found_NM: Numbers = lengths_N[:, np.newaxis] + lengths_M - 2 * (a_NP @ b_MP.T)
    return np.maximum(found_NM, 0, out=found_NM)
