"""What a site computes: the sums of its labelled photos' features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.federation import FederationBase
from service.federation.wire import SiteSums, SumsHeader
from service.teach.heads.arrays import Features
from service.teach.heads.sums import Sums


def site_sums(
    features_ND: Features,
    labels_N: NDArray[np.integer],
    classes: Sequence[str],
    base: FederationBase,
    *,
    site: str,
    sequence: int,
) -> SiteSums:
    """Sum over the photos of a site; classes without photos are left out.

    Args:
        features_ND: of view 0, finite.
        labels_N: 0 to K - 1, the one label of each photo.
        classes: K names.
        sequence: higher than that of the site's last sums.
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
    )
    return SiteSums(header, sums)
