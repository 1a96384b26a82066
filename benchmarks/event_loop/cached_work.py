"""``potoo`` whose worker threads answer a photo from memory: the event loop is what is left.

Run by path, with the tree of the server to measure in PYTHONPATH: an earlier revision has no such
file. A photo is prepared and run once; warm-up and canary run as always.
"""

from __future__ import annotations

from typing import Any

from service.__main__ import main
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.preprocessing import Preprocessor

TAIL_BYTES = 64


def cache_work() -> None:
    """Replace preprocessing and run by their first answers for the same photo."""
    prepare: Any = Preprocessor.__call__
    run: Any = OnnxEngine.run
    prepared: dict[tuple[int, int, bytes], Any] = {}
    outputs: dict[int, Any] = {}

    def prepare_once(self: Preprocessor, data: bytes, *, may_be_slow: bool = True) -> object:
        key = (id(self), len(data), data[-TAIL_BYTES:])
        if key not in prepared:
            prepared[key] = prepare(self, data, may_be_slow=may_be_slow)
        return prepared[key]

    def run_once(self: OnnxEngine, images: Any, *, alone: bool = False) -> object:  # noqa: ANN401
        key = images.ctypes.data  # a batch of one is a view of its tensor
        if not any(one.tensor.ctypes.data == key for one in prepared.values()):
            return run(self, images, alone=alone)
        if key not in outputs:
            outputs[key] = run(self, images, alone=alone)
        return outputs[key]

    Preprocessor.__call__ = prepare_once  # type: ignore[assignment,method-assign]
    OnnxEngine.run = run_once  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    cache_work()
    main()
