"""The textbook implementation and the server give equal results, so costs are comparable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.http.bare_loop import better
from benchmarks.http.textbook import textbook, top_five
from benchmarks.support import models, photo
from schemas.manifest.model_output import OutputSpec
from service.core.imaging.postprocessing import probabilities, top_k
from service.core.imaging.preprocessing import TensorConverter
from service.core.repository.version_files import read_manifest
from service.modeltools.sources.built_in import BUNDLED_MODELS

CLASSES = 7


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    models.add_resnet(tmp_path)
    return tmp_path / models.RESNET / "1"


def test_textbook_and_optimised_tensors_nearly_agree(resnet: Path) -> None:
    to_tensor = TensorConverter(read_manifest(resnet).image_input)
    pixels = better(resnet)(photo.jpeg())
    assert pixels.dtype == np.uint8
    plain, quick = textbook(resnet)(photo.jpeg()), to_tensor(pixels.astype(np.uint8))
    assert plain.shape == quick.shape == (3, 224, 224)
    assert plain.dtype == quick.dtype == np.float32
    # One of 256 grey levels is 1/255 of the range before the division by about 0.225.
    assert np.abs(plain - quick).max() <= 1.5 / 255 / 0.224


def test_byte_model_gets_bytes() -> None:
    folder = BUNDLED_MODELS / models.DEFAULT / "1"
    plain, quick = textbook(folder)(photo.jpeg()), better(folder)(photo.jpeg())
    assert plain.dtype == quick.dtype == np.uint8
    assert np.abs(plain.astype(int) - quick).max() <= 1


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@given(
    output=arrays(np.float32, (3, CLASSES + 2), elements=st.floats(0, 50, width=16), unique=True),
    offset=st.integers(0, 2),
    temperature=st.sampled_from([1.0, 1.5]),
)
def test_top_five_match_the_servers_scores(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    output: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    offset: int,
    temperature: float,
) -> None:
    folder = tmp_path_factory.mktemp("model")
    labels = [f"class {number}" for number in range(CLASSES + 2 - offset)]
    manifest = {
        "labels": "labels.txt",
        "output": {"name": "y", "kind": kind, "label_offset": offset},
        "temperature": temperature if kind == "logits" else 1.0,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "labels.txt").write_text("\n".join(labels))
    spec = OutputSpec.model_validate(manifest["output"])
    scores_NK = probabilities(output, spec, temperature if kind == "logits" else 1.0)
    for found, scores in zip(top_five(folder)(output), scores_NK, strict=True):
        best = top_k(scores, 5)
        given_scores = [float(str(prediction["score"])) for prediction in found]
        assert given_scores == pytest.approx(scores[best].tolist(), rel=1e-4, abs=1e-6)
        for prediction in found:
            index = int(str(prediction["index"])) - offset
            assert prediction["label"] == labels[index]
            assert prediction["score"] == pytest.approx(scores[index], rel=1e-4, abs=1e-6)
