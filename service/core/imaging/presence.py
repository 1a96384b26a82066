"""Selection of a multi-label model's labels whose scores reach their thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.manifest.model_output import DEFAULT_THRESHOLD, OutputSpec
from service.core.engine.graph_check import ManifestMismatch


class Presence:
    """The thresholds of one model's labels. Immutable and safe for all threads."""

    def __init__(self, spec: OutputSpec, labels: Sequence[str]) -> None:
        """Read the thresholds.

        Raises:
            ManifestMismatch: there is neither one threshold nor one per label.
        """
        given = spec.thresholds or (DEFAULT_THRESHOLD,)
        if len(given) not in {1, len(labels)}:
            raise ManifestMismatch(
                "output.thresholds",
                f"has {len(given)} numbers; {len(labels)} labels need 1 or {len(labels)}",
            )
        # In the dtype of the scores, so that a score of 0.7 reaches a threshold of 0.7.
        self._thresholds_K = np.broadcast_to(np.array(given, np.float32), len(labels))

    def present(self, scores_K: NDArray[np.floating]) -> list[int]:
        """Return the indices of the labels that reach their thresholds, highest score first."""
        found = np.flatnonzero(scores_K >= self._thresholds_K)
        order = np.argsort(-scores_K[found], kind="stable")
        indices: list[int] = found[order].tolist()
        return indices
