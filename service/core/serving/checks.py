"""Checks of a model against its manifest: all of them at warm-up, later only the canary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from schemas.models import GoldenSample, ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.postprocessing import probabilities
from service.core.serving.kinds.kind import Kind

GOLDEN_FOLDER = "golden"
_SUM_TOLERANCE = 0.02
_CANARY_TOLERANCE = 1e-2


class Checks:
    """Checks of one version. Every method blocks; any thread may call."""

    def __init__(
        self,
        folder: Path,
        manifest: ModelManifest,
        classes: int,
        kind: Kind,
        engine: Engine,
    ) -> None:
        """``classes``: number of labels."""
        self._folder, self._manifest, self._classes = folder, manifest, classes
        self._kind, self._engine = kind, engine

    def warm_up(self) -> None:
        """Run the model, and refuse it if its answers do not fit the manifest. Blocks.

        Raises:
            ManifestMismatch: an answer does not fit; the message names the field.
            ServiceError: if the model cannot run at all.
        """
        manifest = self._manifest
        self._canary_input = self._kind.noise()
        output_NK = self._engine.run(self._canary_input)
        self._canary_output = probabilities(output_NK, manifest.output, manifest.temperature)
        expected = self._classes + manifest.output.label_offset
        if output_NK.shape[1] != expected:
            raise ManifestMismatch(
                "labels",
                f"{self._classes} labels and label_offset {manifest.output.label_offset} make "
                f"{expected} classes, but the graph gives {output_NK.shape[1]}",
            )
        if manifest.output.kind == "sigmoid":
            self._check_independent(output_NK)
        else:
            self._check_sum(output_NK)
        for number, sample in enumerate(manifest.golden):
            if reason := self._golden_fault(sample):
                raise ManifestMismatch(f"golden[{number}]", reason)

    def _check_sum(self, output_NK: NDArray[np.float32]) -> None:
        """Raise unless the output sums to 1 exactly when the manifest says probabilities."""
        manifest = self._manifest
        sums_to_one = bool(
            (output_NK >= 0).all() and abs(float(output_NK.sum()) - 1) < _SUM_TOLERANCE
        )
        if sums_to_one != (manifest.output.kind == "probabilities"):
            found = "sums to 1, as" if sums_to_one else "does not sum to 1, as do"
            raise ManifestMismatch(
                "output.kind",
                f"is {manifest.output.kind}, but the graph's answer {found} probabilities",
            )

    def _check_independent(self, output_NK: NDArray[np.float32]) -> None:
        """Raise unless each score is in 0..1, for the lowest and the highest input too."""
        for scores_NK in (output_NK, *map(self._engine.run, self._kind.extremes())):
            if not ((scores_NK >= 0) & (scores_NK <= 1)).all():
                raise ManifestMismatch(
                    "output.kind", "is sigmoid, but the graph's answer is not 0..1 for each label"
                )

    def passes_canary(self) -> bool:
        """Return whether the model still gives the same answer as at warm-up."""
        manifest = self._manifest
        try:
            output_NK = self._engine.run(self._canary_input)
            now = probabilities(output_NK, manifest.output, manifest.temperature)
        except ServiceError:
            return False
        return bool(np.abs(now - self._canary_output).max() <= _CANARY_TOLERANCE)

    def _golden_fault(self, sample: GoldenSample) -> str | None:
        """Return why a golden sample's answer differs from the stored one; None if it does not."""
        try:
            batch = self._kind.golden((self._folder / GOLDEN_FOLDER / sample.file).read_bytes())
        except OSError:
            return f"{sample.file} cannot be read"
        except ServiceError as error:
            return f"{sample.file}: {error.detail}"
        output_NK = self._engine.run(batch)
        shares_K = probabilities(output_NK, self._manifest.output, self._manifest.temperature)[0]
        for expected in sample.predictions:
            index = expected.index - self._manifest.output.label_offset
            if not 0 <= index < shares_K.size:
                return f"{sample.file}: there is no class {expected.index}"
            score = float(shares_K[index])
            if abs(score - expected.score) > sample.tolerance:
                return (
                    f"{sample.file}: class {expected.index} scores {score:.4f}, "
                    f"not {expected.score:.4f} within {sample.tolerance}"
                )
        return None
