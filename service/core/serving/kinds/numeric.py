"""The kind of models that take rows of numbers. An item is a chunk of one caller's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from schemas.manifest.numeric import NumericSpec
from service.core.engine.engine import Images, Outputs
from service.core.numeric.column_map import ColumnMap
from service.core.numeric.rows import (
    PreparedRows,
    RowPreprocessor,
    Rows,
    check_rows,
    rows_of_npy,
)
from service.core.serving.checks.noise import noise
from service.core.serving.kinds.kind import Part, PrepareEach

_FAR = 8.0
"""A number beyond nearly all others, of columns with mean 0 and deviation 1."""


class NumericKind:
    """See ``Kind``."""

    item = "row"
    most_together: int | None = None
    most_in_batch: int | None = 1
    prepare_each: PrepareEach | None = None

    def __init__(self, spec: NumericSpec, scaler: ColumnMap | None = None) -> None:
        self._spec = spec
        self.decode = self._preprocess = RowPreprocessor(spec, scaler)

    def prepare(self, sample: Rows) -> PreparedRows:
        """See ``Kind.prepare``."""
        return self._preprocess.rows(sample)

    def stack(self, tensors: list[Images]) -> list[Part]:
        """See ``Kind.stack``: chunks one below the other."""
        batch = tensors[0] if len(tensors) == 1 else cast("Images", np.concatenate(tensors))
        return [Part(batch, list(range(len(tensors))))]

    def each(self, output_NK: Outputs) -> Sequence[Outputs]:
        """See ``Kind.each``; a batch is one chunk, by ``most_in_batch``."""
        return [output_NK]

    def joined(self, outputs: list[Outputs]) -> Outputs:
        """See ``Kind.joined``."""
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def noise(self) -> Images:
        """See ``Kind.noise``: numbers within -2..2."""
        return self.varied()[0]

    def varied(self) -> list[Images]:
        """See ``Kind.varied``: noise around 0, above it, below it, faint, and NaN."""
        plain = (noise((1, self._spec.columns)).astype(np.float64) - 127.5) / 64
        rows = [plain, plain / 8 + 2, plain / 8 - 2, plain / 4, np.full_like(plain, np.nan)]
        return [row.astype(self._spec.dtype) for row in rows]

    def extremes(self) -> list[Images]:
        """See ``Kind.extremes``."""
        shape = (1, self._spec.columns)
        return [np.full(shape, level, self._spec.dtype) for level in (-_FAR, _FAR)]

    def golden(self, data: bytes) -> Images:
        """See ``Kind.golden``; ``data``: rows in NumPy's file format."""
        rows_NC = rows_of_npy(data)
        check_rows(rows_NC, self._spec)
        return self._preprocess.rows(Rows(rows_NC)).tensor
