"""Features of the repository's models: found, cut, computed as the whole graph does, cached."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from schemas.errors import CallerError
from schemas.models import ModelManifest
from service.core.imaging.preprocessing import Preprocessor
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.teach.features.cache import FeatureCache
from service.teach.features.extraction import LIMITS, Extractor
from service.teach.features.penultimate import NoFeatures, find
from tests.support.teach.drawn import drawn
from tests.unit.teach.grafting.test_graft import run

EVERYDAY = BUNDLED_MODELS / "everyday" / "1"


def head_of(operators: list[onnx.NodeProto], weight: tuple[int, ...]) -> onnx.ModelProto:
    """A graph that ends as given: ``image`` [N, 4, 2, 2] to ``logits``."""
    graph = helper.make_graph(
        operators,
        "ends",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 4, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(weight, np.float32), "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


node = helper.make_node
GEMM = head_of(
    [
        node("Flatten", ["image"], ["flat"], axis=1),
        node("Relu", ["flat"], ["features"]),
        node("Gemm", ["features", "weight"], ["raw"], transB=1),
        node("Softmax", ["raw"], ["logits"]),
    ],
    (3, 16),
)
CONVOLUTION = head_of(
    [
        node("Relu", ["image"], ["features"]),
        node("Conv", ["features", "weight"], ["map"]),
        node("GlobalAveragePool", ["map"], ["pooled"]),
        node("Flatten", ["pooled"], ["logits"], axis=1),
    ],
    (3, 4, 1, 1),
)


def test_everyday_has_features_of_192_numbers() -> None:
    found = find(onnx.load(EVERYDAY / "model.onnx"))
    assert (found.tensor, found.width, found.pooled) == ("mean", 192, False)
    assert found.candidates[0].tensor == "mean"


def test_a_convolution_as_the_last_layer_reads_a_map() -> None:
    found = find(CONVOLUTION)
    assert (found.tensor, found.width, found.pooled) == ("features", 4, True)


def test_a_tensor_can_be_named() -> None:
    assert find(GEMM).tensor == "features"
    assert find(GEMM, "flat").width == 16
    with pytest.raises(NoFeatures, match="'features'"):
        find(GEMM, "nothing")
    with pytest.raises(NoFeatures):
        find(GEMM, "image")


def test_a_graph_without_a_linear_layer_at_its_end_is_refused() -> None:
    other = head_of([node("Relu", ["image"], ["a"]), node("Erf", ["a"], ["logits"])], (1,))
    with pytest.raises(NoFeatures, match="name a tensor"):
        find(other)


def test_features_are_those_of_the_whole_graph() -> None:
    extractor, image = Extractor(EVERYDAY), drawn("disc", 3)
    found = extractor.features(image)
    assert found.shape == (1, extractor.width)
    model = onnx.load(EVERYDAY / "model.onnx")
    model.graph.output.append(onnx.ValueInfoProto(name="mean"))
    manifest = ModelManifest.model_validate_json((EVERYDAY / "manifest.json").read_bytes())
    pixels = Preprocessor(manifest.image_input, LIMITS)(image).tensor[np.newaxis]
    del model.graph.output[0]
    assert np.array_equal(run(model, pixels), found)


def test_what_is_no_photo_is_the_callers_fault() -> None:
    with pytest.raises(CallerError):
        Extractor(EVERYDAY).features(b"no photo")


def test_features_are_kept_until_the_photo_is_removed(tmp_path: Path) -> None:
    cache, features = FeatureCache(tmp_path), np.ones((1, 4), np.float32)
    assert cache.get("e" * 64, "ab" * 32) is None
    cache.put("e" * 64, "ab" * 32, features)
    cache.put("f" * 64, "ab" * 32, features)
    cache.put("e" * 64, "cd" * 32, features)
    found = cache.get("e" * 64, "ab" * 32)
    assert found is not None
    assert np.array_equal(found, features)
    cache.forget(["ab" * 32])
    assert cache.get("e" * 64, "ab" * 32) is cache.get("f" * 64, "ab" * 32) is None
    assert cache.get("e" * 64, "cd" * 32) is not None


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", "short", "nan", "object"])
def test_a_damaged_file_is_no_features(tmp_path: Path, damage: bytes | str) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("e", "abcd", np.ones((1, 4), np.float32))
    (file,) = tmp_path.rglob("*.npy")
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    elif damage == "short":
        file.write_bytes(file.read_bytes()[:-3])
    elif damage == "nan":
        np.save(file, np.full((1, 4), np.nan, np.float32))
    else:
        np.save(file, np.array([[{}]], object), allow_pickle=True)
    assert cache.get("e", "abcd") is None


def test_features_that_no_job_uses_are_swept(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    for extractor in ("old", "used"):
        cache.put(extractor, "ab" * 32, np.zeros((1, 3), np.float32))
        os.utime(tmp_path / extractor, (1000, 1000))
    cache.use("used")
    cache.use("never computed")
    assert cache.sweep(time.time()) == 1
    assert cache.get("old", "ab" * 32) is None
    assert cache.get("used", "ab" * 32) is not None
    assert FeatureCache(tmp_path / "absent").sweep(time.time()) == 0
