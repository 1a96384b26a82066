"""The network as an ONNX graph: shapes, padding, folded normalisation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from service.modeltools.imagenet.network import (
    CLASSES,
    FEATURES,
    INPUT,
    OUTPUT,
    SIDE,
    ExtraClasses,
    WrongWeights,
    build_network,
)

STAGES = (
    *((1, 16, 3, 1), (6, 24, 3, 2), (6, 40, 5, 2), (6, 80, 3, 3)),
    *((6, 112, 5, 3), (6, 192, 5, 4), (6, 320, 3, 1)),
)


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.float32]]:
    """Random weights of the right shapes, small enough for numbers to stay finite."""
    random = np.random.default_rng(0)
    found: dict[str, NDArray[np.float32]] = {}

    def convolution(name: str, norm: str, *shape: int) -> None:
        scale = (2 / np.prod(shape[1:])) ** 0.5
        found[f"{name}.weight"] = (random.normal(size=shape) * scale).astype(np.float32)
        for part, value in (("weight", 1.5), ("bias", 0.25), ("running_mean", 0.5)):
            found[f"{norm}.{part}"] = np.full(shape[0], value, np.float32)
        found[f"{norm}.running_var"] = np.full(shape[0], 4, np.float32)

    convolution("_conv_stem", "_bn0", 32, 3, 3, 3)
    channels, number = 32, 0
    for expansion, out, kernel, repeats in STAGES:
        for _ in range(repeats):
            name, wide = f"_blocks.{number}.", channels * expansion
            if expansion != 1:
                convolution(f"{name}_expand_conv", f"{name}_bn0", wide, channels, 1, 1)
            convolution(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, kernel, kernel)
            convolution(f"{name}_project_conv", f"{name}_bn2", out, wide, 1, 1)
            channels, number = out, number + 1
    convolution("_conv_head", "_bn1", FEATURES, 320, 1, 1)
    found["_fc.weight"] = (random.normal(size=(CLASSES, FEATURES)) / 36).astype(np.float32)
    found["_fc.bias"] = np.zeros(CLASSES, np.float32)
    return found


def run(
    weights: Mapping[str, NDArray[np.float32]],
    images_NCHW: NDArray[np.float32],
    extra: ExtraClasses | None = None,
    output: str = OUTPUT,
) -> NDArray[np.float32]:
    model = build_network(weights, extra)
    if output != OUTPUT:
        model.graph.output.add().name = output
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run([output], {INPUT: images_NCHW})[0]
    return found


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    return random.uniform(-1, 1, (2, 3, SIDE, SIDE)).astype(np.float32)


def test_images_give_finite_logits_for_each_class(
    weights: dict[str, NDArray[np.float32]], images: NDArray[np.float32]
) -> None:
    logits_NK = run(weights, images)
    assert logits_NK.shape == (2, CLASSES)
    assert np.isfinite(logits_NK).all()
    assert np.ptp(logits_NK, axis=1).min() > 0


def test_extra_classes_are_linear_in_the_features(
    weights: dict[str, NDArray[np.float32]], images: NDArray[np.float32]
) -> None:
    extra = ExtraClasses(weights["_fc.weight"][:2] * 2, np.array([1, -1], np.float32))
    logits_NK = run(weights, images, extra)
    assert logits_NK.shape == (2, CLASSES + 2)
    expected = 2 * logits_NK[:, :2] + [1, -1]
    np.testing.assert_allclose(logits_NK[:, CLASSES:], expected, rtol=1e-4, atol=1e-4)


def test_stem_pads_right_and_below_and_folds_normalisation(
    weights: dict[str, NDArray[np.float32]], images: NDArray[np.float32]
) -> None:
    found = run(weights, images, output="_conv_stem.relu6")
    padded = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    sums = np.einsum("nchwij,ocij->nohw", windows, weights["_conv_stem.weight"], optimize=True)
    expected = np.clip((sums - 0.5) * 1.5 / np.sqrt(4 + 1e-3) + 0.25, 0, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("_fc.bias", None, r"_fc\.bias is missing"),
        ("_fc.bias", np.zeros(999, np.float32), r"_fc\.bias is float32 \[999\]"),
        ("_fc.bias", np.zeros(CLASSES), r"_fc\.bias is float64"),
        ("_bn1.bias", np.full(FEATURES, np.nan, np.float32), r"_bn1\.bias is not finite"),
    ],
)
def test_mismatched_weights_are_named(
    weights: dict[str, NDArray[np.float32]],
    name: str,
    value: NDArray[np.float32] | None,
    reason: str,
) -> None:
    changed = {key: array for key, array in weights.items() if key != name}
    if value is not None:
        changed[name] = value
    with pytest.raises(WrongWeights, match=reason):
        build_network(changed)
