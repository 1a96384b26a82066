"""Checks of a model against its manifest: all of them at warm-up, later only the canary."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from schemas.errors import ServiceError
from schemas.models import GoldenSample, GoldenValues, ModelManifest
from service.core.engine.engine import Engine, Outputs
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
        self._canary_input = self._kind.noise()
        output_NK = self._engine.run(self._canary_input)
        self.output_dtype = output_NK.dtype
        self._canary_output = self._read(output_NK)
        if self._manifest.output.kind == "values":
            for number, sample in enumerate(self._manifest.golden_values):
                if reason := self._golden_values_fault(sample):
                    raise ManifestMismatch(f"golden_values[{number}]", reason)
        else:
            self._check_labels(output_NK)

    def _check_labels(self, output_NK: Outputs) -> None:
        manifest = self._manifest
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

    def _read(self, output_NK: Outputs) -> Outputs:
        """Return probabilities; values as they are.

        Raises:
            InferenceFailed: see ``probabilities``.
        """
        manifest = self._manifest
        if manifest.output.kind == "values":
            return output_NK
        return probabilities(output_NK, manifest.output, manifest.temperature)

    def _check_sum(self, output_NK: Outputs) -> None:
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

    def _check_independent(self, output_NK: Outputs) -> None:
        """Raise unless each score is in 0..1, for the lowest and the highest input too."""
        for scores_NK in (output_NK, *map(self._engine.run, self._kind.extremes())):
            if not ((scores_NK >= 0) & (scores_NK <= 1)).all():
                raise ManifestMismatch(
                    "output.kind", "is sigmoid, but the graph's answer is not 0..1 for each label"
                )

    def passes_canary(self) -> bool:
        """Return whether the model still gives the same answer as at warm-up."""
        try:
            now = self._read(self._engine.run(self._canary_input))
        except ServiceError:
            return False
        if self._manifest.output.kind == "values":
            return _are_alike(now, self._canary_output)
        return bool(np.abs(now - self._canary_output).max() <= _CANARY_TOLERANCE)

    def _golden_fault(self, sample: GoldenSample) -> str | None:
        """Return why a golden sample's answer differs from the stored one; None if it does not."""
        output_NK = self._run_golden(sample.file)
        if isinstance(output_NK, str):
            return output_NK
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

    def _golden_values_fault(self, sample: GoldenValues) -> str | None:
        """Return why the numbers for a golden file differ from those stored; None if not."""
        output_NK = self._run_golden(sample.file)
        if isinstance(output_NK, str):
            return output_NK
        widths = {len(row) for row in sample.values}
        if (len(sample.values), widths) != (len(output_NK), {output_NK.shape[1]}):
            return (
                f"{sample.file}: the graph gives {len(output_NK)} rows of {output_NK.shape[1]} "
                f"numbers, not {len(sample.values)} of {' or '.join(map(str, sorted(widths)))}"
            )
        # The conversion to float64 turns None into NaN.
        expected_NK = np.array(sample.values, np.float64)
        for row, (found_K, wanted_K) in enumerate(zip(output_NK, expected_NK, strict=True)):
            for place, (found, wanted) in enumerate(
                zip(found_K.tolist(), wanted_K.tolist(), strict=True)
            ):
                if not _is_near(found, wanted, sample.tolerance):
                    return (
                        f"{sample.file}: number {place} of row {row} is {found:.10g}, not "
                        f"{wanted:.10g} within {sample.tolerance:g}"
                    )
        return None

    def _run_golden(self, file: str) -> Outputs | str:
        """Return the outputs for a golden file, or why there are none."""
        try:
            batch = self._kind.golden((self._folder / GOLDEN_FOLDER / file).read_bytes())
        except OSError:
            return f"{file} cannot be read"
        except ServiceError as error:
            return f"{file}: {error.detail}"
        limit = self._engine.max_batch_size
        if limit and len(batch) > limit:
            return f"{file} holds {len(batch)} items, but the graph's batch is {limit}"
        return self._engine.run(batch)


def _are_alike(found_NK: Outputs, expected_NK: Outputs) -> bool:
    """Compare values, which may differ by orders of magnitude; NaN equals NaN."""
    largest = np.abs(expected_NK).max(initial=0, where=np.isfinite(expected_NK))
    nearly_zero = _CANARY_TOLERANCE / 10 * min(1.0, float(largest))
    return np.allclose(
        found_NK, expected_NK, rtol=_CANARY_TOLERANCE, atol=nearly_zero, equal_nan=True
    )


def _is_near(found: float, wanted: float, tolerance: float) -> bool:
    """Compare within a tolerance; of numbers beyond 1, as a share of them; NaN equals NaN."""
    if math.isnan(wanted):
        return math.isnan(found)
    return math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance)
