"""One base for the versions that were taught on it: its session, and its run for an image.

::

    image ─► base ─► features ─┬─► head of one version ─► its output
                               └─► head of another ─► its output

A taught version holds its whole graph, and its head alone in ``head.onnx``. Versions of one base
keep one session of it; a call for several of them runs it once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from observability.onnx_runtime import ort
from schemas.errors import InferenceFailed
from service.core.engine.engine import Engine, Images, Outputs
from service.core.engine.graph_check import ManifestMismatch

_PROVIDERS = ["CPUExecutionProvider"]


class HeadSession:
    """The part of a taught graph behind its features. Any thread may call it."""

    def __init__(self, file: Path) -> None:
        """Load the head.

        Raises:
            ManifestMismatch: the file is missing, or is not the head of a graph.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(file), options, providers=_PROVIDERS)
            (given,), (found,) = self._session.get_inputs(), self._session.get_outputs()
        except Exception as error:
            message = f"{file.name} cannot be loaded: {error}"
            raise ManifestMismatch("base.head", message) from error
        self._input, self._output = given.name, found.name

    def __call__(self, features_ND: Outputs) -> Outputs:
        """Return the outputs [N, K] of features.

        Raises:
            InferenceFailed: the runtime failed.
        """
        try:
            (output_NK,) = self._session.run([self._output], {self._input: features_ND})
        except Exception as error:
            raise InferenceFailed from error
        return cast("Outputs", output_NK)


@dataclass(slots=True)
class _Held:
    """A base and the number of versions that use it."""

    engine: Engine
    users: int = 1


class SharedBases:
    """The bases that loaded versions share. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def take(self, key: Hashable, open_base: Callable[[], Engine]) -> Engine:
        """Return the base of ``key``, opened by the first that takes it.

        Raises:
            ManifestMismatch: see ``OnnxEngine``.
        """
        with self._lock:
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = _Held(open_base())
            else:
                held.users += 1
            return held.engine

    def give_back(self, key: Hashable) -> None:
        """Close the base if it has no other user."""
        with self._lock:
            held = self._held[key]
            held.users -= 1
            if not held.users:
                del self._held[key]
                held.engine.close()


class HeadEngine:
    """An ``Engine`` of a base that others may use too, and a head of its own."""

    def __init__(self, bases: SharedBases, key: Hashable, base: Engine, head: HeadSession) -> None:
        """``base``: taken from ``bases`` by ``key``; ``close`` gives it back."""
        self.base, self.head = base, head
        self._bases, self._key, self._is_open = bases, key, True
        self.output_shape: tuple[int, ...] = ()

    @property
    def max_batch_size(self) -> int | None:
        """See ``Engine``."""
        return self.base.max_batch_size

    @property
    def takes_pixels(self) -> bool:
        """See ``Engine``."""
        return self.base.takes_pixels

    def run(self, images: Images, *, alone: bool = False) -> Outputs:
        """See ``Engine``."""
        return self.outputs(self.base.run(images, alone=alone))

    def outputs(self, features_ND: Outputs) -> Outputs:
        """Return the outputs [N, K] of the base's features.

        Raises:
            InferenceFailed: the runtime failed.
        """
        output_NK = self.head(np.ascontiguousarray(features_ND))
        self.output_shape = output_NK.shape[1:]
        return output_NK

    def shrink(self) -> None:
        """See ``Engine``."""
        self.base.shrink()

    def close(self) -> None:
        """Give the base back; its session ends with its last user. May be repeated."""
        if self._is_open:
            self._is_open = False
            self._bases.give_back(self._key)
