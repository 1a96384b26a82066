"""Checks of a site's sums before they count: numbers that photos cannot have given are refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schemas.errors import UpdateRefused
from schemas.federation import FederationBase, UpdateFault
from service.federation.arithmetic.names import NameRules
from service.federation.wire import SiteSums, SumsHeader
from service.teach.heads.sums import Sums

MAX_FEATURE = 1e5
"""Magnitude of a feature's mean and deviation at most; those of networks are below 100."""
_TOLERANCE = 1e-5
"""Of the largest eigenvalue or sum: what float32 and another order of adding may change."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the sums of a site must be of.

    Attributes:
        site: its name.
        base: whose features are summed.
        rules: of class names.
        min_photos: of one update; ``min_class_photos``: of each class that it has.
    """

    site: str
    base: FederationBase
    rules: NameRules
    min_photos: int
    min_class_photos: int


def check(given: SiteSums, expected: Expected) -> None:
    """Require that photos can have given these sums. A second of one core for 1,280 features.

    Raises:
        UpdateRefused: with the fault that was found first.
    """
    _check_header(given.header, expected)
    _check_counts(given.header, expected)
    _check_magnitude(given.sums)
    _check_consistent(given.sums)
    _check_positive(given.sums)


def _check_header(header: SumsHeader, expected: Expected) -> None:
    if header.site != expected.site:
        message = f"The sums are of the site '{header.site}', not of '{expected.site}'."
        raise UpdateRefused(UpdateFault.WRONG_SITE, message, "/header/site")
    if header.base != expected.base:
        wanted = expected.base
        message = (
            f"The federation uses the {wanted.width} features '{wanted.tensor}' of {wanted.name} "
            f"{wanted.version}, model {wanted.sha256[:12]}; these sums are of other ones "
            f"({header.base.name} {header.base.version}, model {header.base.sha256[:12]})."
        )
        raise UpdateRefused(UpdateFault.WRONG_BASE, message, "/header/base")
    if same := expected.rules.same(header.classes):
        message = f"'{same[0]}' and '{same[1]}' are one class: add their photos up."
        raise UpdateRefused(UpdateFault.CLASSES, message, "/header/classes")
    if unknown := expected.rules.unknown(header.classes):
        message = (
            f"'{unknown[0]}' is no class of the federation, and no other name of one: "
            "the classes are agreed."
        )
        raise UpdateRefused(UpdateFault.CLASSES, message, "/header/classes")


def _check_counts(header: SumsHeader, expected: Expected) -> None:
    photos = sum(header.counts)
    if photos < expected.min_photos:
        message = (
            f"These are the sums of {photos} photos; {expected.min_photos} are the least, since "
            "the sums of few photos show single ones."
        )
        raise UpdateRefused(UpdateFault.TOO_FEW, message, "/header/counts")
    held_out = header.held_out
    if held_out is not None and not held_out.right <= held_out.photos <= photos:
        message = "More photos are said to be held out, or right, than there are."
        raise UpdateRefused(UpdateFault.INCONSISTENT, message, "/header/held_out")
    for name, count in zip(header.classes, header.counts, strict=True):
        if 0 < count < expected.min_class_photos:
            message = (
                f"'{name}' has {count} photos; {expected.min_class_photos} are the least of a "
                "class, since the sums of few photos show single ones. Leave the class out."
            )
            raise UpdateRefused(UpdateFault.TOO_FEW, message, "/header/counts")


def _check_magnitude(sums: Sums) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        squares_D = np.diag(sums.xx_DD) / sums.photos
        largest = float(np.max(squares_D, initial=0))
        sums_K = np.abs(sums.xy_KD) / np.maximum(sums.counts_K, 1)[:, np.newaxis]
        # Of a class without photos, any sum is too large.
        sums_K[sums.counts_K == 0] *= np.inf
        largest = max(largest, float(np.nan_to_num(sums_K, nan=0.0).max(initial=0)) ** 2)
    if not largest <= MAX_FEATURE**2:
        message = f"A feature would be larger than {MAX_FEATURE:g}."
        raise UpdateRefused(UpdateFault.TOO_LARGE, message, "/numbers")


def _check_consistent(sums: Sums) -> None:
    """Require that the classes' sums add up to that of all photos."""
    allowed = _TOLERANCE * (np.abs(sums.xy_KD).sum(axis=0) + np.abs(sums.x_D)).max()
    if np.abs(sums.xy_KD.sum(axis=0) - sums.x_D).max() > allowed:
        message = "The sums of the classes do not add up to the mean of all photos."
        raise UpdateRefused(UpdateFault.INCONSISTENT, message, "/numbers")


def _check_positive(sums: Sums) -> None:
    """Require a positive semidefinite scatter within classes, so also around the mean."""
    present_K = sums.counts_K > 0
    means_KD = sums.xy_KD[present_K] / sums.counts_K[present_K][:, np.newaxis]
    within_DD = sums.xx_DD - (means_KD.T * sums.counts_K[present_K]) @ means_KD
    mean_D = sums.x_D / sums.photos
    largest = float(np.trace(sums.xx_DD - sums.photos * np.outer(mean_D, mean_D)))
    least = float(np.linalg.eigvalsh(within_DD)[0])
    # A trace is at least the largest eigenvalue; the square term is the rounding of means.
    allowed = _TOLERANCE * max(largest, 0.0) + 1e-9 * sums.photos * float(mean_D @ mean_D)
    if least < -allowed or largest < -allowed:
        message = (
            "The matrix of products is not positive semidefinite within classes: no photos give it."
        )
        raise UpdateRefused(UpdateFault.NOT_POSITIVE, message, "/numbers")
