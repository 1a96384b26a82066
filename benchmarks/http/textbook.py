"""The work as tutorials write it, from JPEG to top five; needs only NumPy and Pillow.

The bare loop and the peers share it, so that only the servers differ. Peers import it in
environments of their own: nothing of Potoo may be imported here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.float32] | NDArray[np.uint8]
Prepare = Callable[[bytes], Images]
Best = list[dict[str, object]]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of a version's folder, without validation."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def textbook(folder: Path) -> Prepare:
    """Return preprocessing of the whole image at every step, in NumPy without float64.

    It has the model's interpolation, without which it would be less work.
    """
    spec = read_manifest(folder)["input"]
    assert spec["resize"]["policy"] == "shorter_side"
    pixels, width, height = spec["resize"]["pixels"], spec["width"], spec["height"]
    mean = np.array(spec.get("mean", [0.0]), np.float32)
    std = np.array(spec.get("std", [1.0]), np.float32)
    scale = np.float32(spec.get("scale", 1.0))
    interpolation = Image.Resampling[spec["resize"].get("interpolation", "bilinear").upper()]

    def prepare(data: bytes) -> Images:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        ratio = pixels / min(image.size)
        whole = (max(pixels, int(image.width * ratio)), max(pixels, int(image.height * ratio)))
        image = image.resize(whole, interpolation)
        left, upper = (whole[0] - width) // 2, (whole[1] - height) // 2
        image = image.crop((left, upper, left + width, upper + height))
        array = np.asarray(image)
        if spec["dtype"] == "uint8":
            return array if spec["layout"] == "NHWC" else array.transpose(2, 0, 1)
        if spec["colour"] == "BGR":
            array = array[:, :, ::-1]
        tensor: NDArray[np.float32] = (array.astype(np.float32) * scale - mean) / std
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))

    return prepare


def top_five(folder: Path) -> Callable[[NDArray[np.float32]], list[Best]]:
    """Return a function from outputs [N, K] to the five best classes of each, with labels."""
    manifest = read_manifest(folder)
    has_logits = manifest["output"]["kind"] == "logits"
    offset = manifest["output"].get("label_offset", 0)
    temperature = np.float32(manifest.get("temperature", 1.0))
    labels = manifest["labels"]
    if isinstance(labels, str):
        labels = (folder / labels).read_text("utf-8-sig").splitlines()

    def best(output_NK: NDArray[np.float32]) -> list[Best]:
        if has_logits:
            powers = np.exp((output_NK - output_NK.max(axis=1, keepdims=True)) / temperature)
            output_NK = powers / powers.sum(axis=1, keepdims=True)
        return [
            [
                {
                    "label": labels[index],
                    "index": int(index) + offset,
                    "score": float(scores[index]),
                }
                for index in np.argsort(-scores, kind="stable")[:5]
            ]
            for scores in output_NK[:, offset:]
        ]

    return best
