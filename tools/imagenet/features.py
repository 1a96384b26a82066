"""Features and logits of the photos, from one run of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from service.core.engine.pool import usable_cores
from service.core.imaging.preprocessing import Preprocessor
from service.modeltools.imagenet.building import INPUT_SPEC, weights_file
from service.modeltools.imagenet.network import (
    CLASSES,
    FEATURE_OUTPUT,
    FEATURES,
    INPUT,
    OUTPUT,
    ExtraClasses,
    build_network,
)
from service.modeltools.imagenet.torch_file import read_tensors
from service.settings import LimitSettings
from tools.imagenet.photos import Photo

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo without its bytes."""

    collection: str
    group: str
    manner: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """Outputs for N samples: features_NF [N, 1280]; logits_NK [N, 1000], the thousand classes."""

    samples: list[Sample]
    features_NF: Floats
    logits_NK: Floats

    def select(self, wanted: Callable[[Sample], bool]) -> Features:
        """Select the samples for which ``wanted`` is true."""
        rows = [row for row, sample in enumerate(self.samples) if wanted(sample)]
        return Features(
            [self.samples[row] for row in rows], self.features_NF[rows], self.logits_NK[rows]
        )

    def outputs(self, extra: ExtraClasses) -> Floats:
        """Return the logits [N, 1000 + E] with the extra classes."""
        behind_NE = self.features_NF @ extra.weights_EF.T + extra.bias_E
        return np.concatenate([self.logits_NK, behind_NE], axis=1)


def run_network(photos: Iterable[Photo], progress: Callable[[int], None]) -> Features:
    """Prepare the photos as the server does, and run the network on all cores."""
    model = build_network(read_tensors(weights_file()))
    shape: list[str | int | None] = ["N", FEATURES]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(FEATURE_OUTPUT, onnx.TensorProto.FLOAT, shape)
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    prepare = Preprocessor(INPUT_SPEC, LimitSettings().of_images)

    def run(photo: Photo) -> tuple[Sample, Floats, Floats]:
        tensor = prepare(photo.data).tensor[np.newaxis]
        features, logits = session.run([FEATURE_OUTPUT, OUTPUT], {INPUT: tensor})
        sample = Sample(photo.collection, photo.group, photo.manner, photo.names)
        return sample, features[0], logits[0]

    found = []
    with ThreadPoolExecutor(usable_cores()) as threads:
        for number, result in enumerate(threads.map(run, photos), 1):
            found.append(result)
            progress(number)
    samples, features, logits = zip(*found, strict=True)
    logits_NK = np.stack(logits)
    assert logits_NK.shape[1] == CLASSES  # noqa: S101 - the thousand, without what is fitted here
    return Features(list(samples), np.stack(features), logits_NK)
