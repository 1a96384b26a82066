"""Updates as int8 with error feedback: a quarter of the bytes, and nothing is lost for good.

What rounding leaves out of one push is added to the next (Seide et al., 2014; Karimireddy et al.,
2019): the sum of what was sent stays within half a step of the sum of what was meant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.tensor_file import SCALE, Tensors

_LARGEST = 127
_FEW = 64
"""Numbers of a tensor that is sent as float32: its scales would cost more than they save."""


class Quantiser:
    """Quantises the updates of one worker, one after another."""

    def __init__(self) -> None:
        self._left: dict[str, NDArray[np.float32]] = {}

    def __call__(self, update: Tensors) -> dict[str, NDArray[Any]]:
        """Return an update as int8 with scales, see ``tensor_file``.

        What was left out of the last one is added. Call it once for each update that is sent; for
        one that was refused, call ``take_back`` with what was returned.

        Args:
            update: finite; the same names and shapes each time.
        """
        sent: dict[str, NDArray[Any]] = {}
        for name, tensor in update.items():
            wanted = tensor + self._left.get(name, np.float32(0))
            if tensor.size < _FEW:
                sent[name] = np.asarray(wanted, np.float32)
                self._left.pop(name, None)
                continue
            axes = tuple(range(1, tensor.ndim)) if tensor.ndim > 1 else None
            largest = np.abs(wanted).max(axis=axes, keepdims=True)
            scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
            steps = np.clip(np.rint(wanted / scale), -_LARGEST, _LARGEST).astype(np.int8)
            sent[name] = steps
            sent[name + SCALE] = scale.reshape(tensor.shape[:1] if tensor.ndim > 1 else ())
            self._left[name] = (wanted - steps * scale).astype(np.float32)
        return sent

    def take_back(self, update: Tensors) -> None:
        """Add an update that was not accepted to the next one.

        Args:
            update: as it was given, or read back with ``tensor_file.whole``.
        """
        for name, tensor in update.items():
            left = self._left.get(name, np.zeros_like(tensor, np.float32))
            self._left[name] = np.asarray(left + tensor, np.float32)
