"""A scaler in a repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.repository.publishing import drafting
from service.core.repository.repository import Repository
from service.preprocess.numeric.rows import Rows
from service.preprocess.scalers.fitting import fit
from service.preprocess.scalers.publishing import write_scaler
from service.preprocess.scalers.sums import sums_of


def publish_scaler(root: Path, name: str, values_NC: NDArray[np.float64], *columns: str) -> None:
    """Publish a standard scaler of these rows that imputes by the mean."""
    scaler = fit(sums_of(Rows(values_NC, columns), 100), "standard", "mean")
    with drafting(root, name) as draft:
        write_scaler(draft, Repository(root), scaler, "")
        draft.publish()
