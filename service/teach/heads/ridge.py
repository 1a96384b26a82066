"""Ridge regression on labels, and what it gives for groups of photos that it has not seen.

With X the centred features and W the weights of rows, the head is ``(X'WX + strength I)^-1 X'WY``.
One decomposition, of the smaller of the two matrices of products, serves every strength. Answers
for a group that is left out follow from those with it: the residuals ``r`` of its rows become
``(I - H)^-1 r``, with ``H`` its block of the hat matrix (Cook and Weisberg, 1982, for one row).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.arrays import Numbers

_NEGLIGIBLE = 1e-10
"""Directions with less of the largest variance are left out: they are noise of rounding."""
_RIDGE_OF_BLOCKS = 1e-9
_TOGETHER = 256
"""Groups of one size that are solved in one step."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Weighted rows of features and of numbers for each label, R rows.

    Attributes:
        x_RD: float64 [R, D].
        y_RK: float64 [R, K].
        weights_R: at least 0; not all 0.
        groups_R: rows with the same number are left out together.
    """

    x_RD: Numbers
    y_RK: Numbers
    weights_R: Numbers
    groups_R: NDArray[np.integer]


class Ridge:
    """The solutions for all strengths."""

    def __init__(self, rows: Rows) -> None:
        """Decompose the features.

        Args:
            rows: finite.
        """
        total = rows.weights_R.sum()
        self._blocks = _by_size(rows.groups_R)
        self._mean_D = rows.weights_R @ rows.x_RD / total
        self._mean_K = rows.weights_R @ rows.y_RK / total
        self._root_R = np.sqrt(rows.weights_R)
        self._y_RK = rows.y_RK
        x_RD = (rows.x_RD - self._mean_D) * self._root_R[:, np.newaxis]
        self._rest_RK = (rows.y_RK - self._mean_K) * self._root_R[:, np.newaxis]
        self._share_R = self._root_R / np.sqrt(total)
        """The part of the mean in the hat matrix is the outer product of this with itself."""
        self._left_RS, self._values_S, self._right_DS = _decompose(x_RD)
        self._along_SK = self._left_RS.T @ self._rest_RK
        self.scale = float(self._values_S.sum()) / max(len(rows.x_RD), 1) or 1.0
        """Mean square of a row's features: strengths are multiples of it."""

    def head(self, strength: float) -> tuple[Numbers, Numbers]:
        """Return weights [K, D] and bias [K].

        Args:
            strength: above 0, in units of ``scale``.
        """
        roots_S = np.sqrt(self._values_S)
        shrunk_SK = self._along_SK * (roots_S / (self._values_S + strength * self.scale))[:, None]
        weight_KD: Numbers = (self._right_DS @ shrunk_SK).T
        return weight_KD, self._mean_K - weight_KD @ self._mean_D

    def held_out(self, strength: float) -> Numbers:
        """Return the answer for each row by the head of all rows outside its group, [R, K].

        Of a group that is all rows: the mean of nothing, 0.

        Args:
            strength: see ``head``.
        """
        kept_S = self._values_S / (self._values_S + strength * self.scale)
        residuals_RK = self._rest_RK - self._left_RS @ (kept_S[:, np.newaxis] * self._along_SK)
        found_RK = np.zeros_like(self._y_RK)
        for rows_GM in self._blocks:
            if rows_GM.shape[1] == len(found_RK):
                continue
            for start in range(0, len(rows_GM), _TOGETHER):
                some_GM = rows_GM[start : start + _TOGETHER]
                left_GMS, share_GM = self._left_RS[some_GM], self._share_R[some_GM]
                block_GMM = np.eye(some_GM.shape[1]) * (1 + _RIDGE_OF_BLOCKS)
                block_GMM = block_GMM - (left_GMS * kept_S) @ left_GMS.transpose(0, 2, 1)
                block_GMM -= share_GM[:, :, np.newaxis] * share_GM[:, np.newaxis]
                without_GMK = np.linalg.solve(block_GMM, residuals_RK[some_GM])
                without_GMK /= self._root_R[some_GM][:, :, np.newaxis]
                found_RK[some_GM] = self._y_RK[some_GM] - without_GMK
        return found_RK


def _by_size(groups_R: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Return the rows of each group, [G groups, M rows], for each size of a group."""
    by_size: dict[int, list[NDArray[np.intp]]] = {}
    order_R = np.argsort(groups_R, kind="stable")
    _, starts = np.unique(groups_R[order_R], return_index=True)
    for rows in np.split(order_R, starts[1:]):
        by_size.setdefault(len(rows), []).append(rows)
    return [np.stack(some) for some in by_size.values()]


def _decompose(x_RD: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return U [R, S], squares of singular values [S] and V [D, S] of a matrix."""
    rows, width = x_RD.shape
    if rows <= width:
        values, left = np.linalg.eigh(x_RD @ x_RD.T)
        kept = values > max(values.max(initial=0) * _NEGLIGIBLE, np.finfo(np.float64).tiny)
        left, values = left[:, kept], values[kept]
        return left, values, x_RD.T @ left / np.sqrt(values)
    values, right = np.linalg.eigh(x_RD.T @ x_RD)
    kept = values > max(values.max(initial=0) * _NEGLIGIBLE, np.finfo(np.float64).tiny)
    right, values = right[:, kept], values[kept]
    return x_RD @ right / np.sqrt(values), values, right
