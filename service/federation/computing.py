"""What a site computes: the sums of its labelled photos' features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.federation import FederationBase, HeldOut
from service.federation.wire import SiteSums, SumsHeader
from service.teach.heads.arrays import Features
from service.teach.heads.fitting import FitOptions, Targets, fit
from service.teach.heads.sums import Sums


def site_sums(
    features_ND: Features,
    labels_N: NDArray[np.integer],
    classes: Sequence[str],
    base: FederationBase,
    *,
    site: str,
    sequence: int,
    held_out: HeldOut | None = None,
) -> SiteSums:
    """Sum over the photos of a site; classes without photos are left out.

    Args:
        features_ND: of view 0, finite.
        labels_N: 0 to K - 1, the one label of each photo.
        classes: K names.
        sequence: higher than that of the site's last sums.
        held_out: see ``held_out_of``.
    """
    present_NK = np.asarray(labels_N)[:, np.newaxis] == np.arange(len(classes))
    used = [int(place) for place in np.flatnonzero(present_NK.any(axis=0))]
    sums = Sums.of(np.asarray(features_ND)[:, np.newaxis], present_NK[:, used])
    header = SumsHeader(
        site=site,
        sequence=sequence,
        base=base,
        classes=[classes[place] for place in used],
        counts=[int(count) for count in sums.counts_K],
        held_out=held_out,
    )
    return SiteSums(header, sums)


def held_out_of(
    features_ND: Features, labels_N: NDArray[np.integer], groups_N: NDArray[np.integer]
) -> HeldOut | None:
    """Return what the site's own head gives for photos that it did not see; None of one class.

    Args:
        features_ND: of view 0, finite.
        labels_N: the one label of each photo.
        groups_N: photos with the same number are not independent.
    """
    used, labels_N = np.unique(labels_N, return_inverse=True)
    if len(used) < 2:
        return None
    targets = Targets.of_labels(labels_N.reshape(-1), len(used))
    features_NVD = np.asarray(features_ND, np.float32)[:, np.newaxis]
    options = FitOptions(class_weights="none", kind="linear")
    fitted = fit(features_NVD, targets, groups_N, options=options)
    right = int((fitted.held_out_NK.argmax(axis=1) == targets.labels_N).sum())
    return HeldOut(photos=len(targets), right=right, temperature=fitted.temperature)
