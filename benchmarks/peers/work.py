"""The work of every peer; runs in the peers' environments.

Settings come from environment variables, since each peer keeps the command line for itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.http.textbook import Best, Images, Prepare, read_manifest, textbook, top_five
from observability.onnx_runtime import ort

PREFIX = "BENCH_PEER_"


@dataclass(frozen=True, slots=True)
class PeerWork:
    """Configuration of a peer. ``threads``: ONNX Runtime's, of each worker process."""

    folder: str
    preprocessing: str
    port: int
    workers: int
    threads: int
    batch: int

    def as_environment(self) -> dict[str, str]:
        """Return the environment variables that ``job`` reads."""
        return {
            PREFIX + name.upper(): str(getattr(self, name)) for name in self.__dataclass_fields__
        }


def job() -> PeerWork:
    """Read the job of this process from the environment."""
    given = {name: os.environ[PREFIX + name.upper()] for name in PeerWork.__dataclass_fields__}
    return PeerWork(
        given["folder"],
        given["preprocessing"],
        *(int(given[name]) for name in ("port", "workers", "threads", "batch")),
    )


class Classifier:
    """A session with preprocessing and postprocessing, in one process."""

    def __init__(self, job: PeerWork) -> None:
        folder = Path(job.folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = job.threads
        self._session = ort.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._output = read_manifest(folder)["output"]["name"]
        self._best = top_five(folder)
        self.prepare: Prepare = (
            _better(folder) if job.preprocessing == "better" else textbook(folder)
        )

    def answer(self, images: list[Images]) -> list[Best]:
        """Run the images as one batch."""
        outputs = self._session.run([self._output], {self._input: np.stack(images)})
        return self._best(outputs[0])


def _better(folder: Path) -> Prepare:
    # Imported here, so that peers with textbook preprocessing do not need Pydantic.
    from schemas.models import ModelManifest
    from service.core.imaging.image_limits import ImageLimits
    from service.core.imaging.preprocessing import Preprocessor

    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_bytes())
    preprocess = Preprocessor(manifest.image_input, ImageLimits(50_000_000, 1000, 2**28))
    return lambda data: preprocess(data).tensor
