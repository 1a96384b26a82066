"""Forms of a prepared image: each gives back the tensor, and the picture shows its pixels."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import orjson
import pytest
from PIL import Image

from schemas.manifest.model_input import Colour, InputSpec
from schemas.preprocess.image import PreparedImageResponse
from service.core.engine.engine import Images
from service.core.imaging.answer import ModelRef
from service.core.imaging.preprocessing import Preprocessor, TensorConverter
from service.core.serving.image_tensors import ImageTensor
from service.preprocess.images.forms import (
    Data,
    datatype_of,
    raw_of,
    to_binary,
    to_document,
    to_npy,
)
from service.preprocess.images.view import pixels_of, to_png
from tests.support.models.echo_model import EVERY_SPEC, HEIGHT, WIDTH, echo_spec
from tests.support.models.pictures import encoded, gradient
from tests.support.models.tiny_model import image_limits

PHOTO = encoded(gradient((61, 47)))
every_spec = pytest.mark.parametrize(
    "spec", EVERY_SPEC, ids=lambda spec: f"{spec.layout} {spec.dtype} {spec.colour}"
)


def prepared(spec: InputSpec, tensor: Images | None = None) -> ImageTensor:
    """The gradient as the model takes it, or another tensor."""
    preprocess = Preprocessor(spec, image_limits())
    return ImageTensor(
        ModelRef("echo", 3),
        spec,
        (preprocess(PHOTO).tensor if tensor is None else tensor)[np.newaxis],
        preprocess.converter.levels,
        "PNG",
        61,
        47,
        is_truncated=False,
    )


@every_spec
def test_npy_and_raw_bytes_give_back_the_tensor(spec: InputSpec) -> None:
    image = prepared(spec)
    found = np.load(io.BytesIO(to_npy(image)), allow_pickle=False)
    assert found.dtype == image.tensor.dtype
    assert np.array_equal(found, image.tensor)
    dtype = {"FP32": "<f4", "UINT8": "u1"}[datatype_of(spec)]
    raw = np.frombuffer(raw_of(image), dtype).reshape(image.tensor.shape)
    assert np.array_equal(raw, image.tensor)


@every_spec
def test_open_inference_answer_gives_back_the_tensor(spec: InputSpec) -> None:
    image = prepared(spec)
    body, length = to_binary(image)
    head = json.loads(body[:length])
    (output,) = head["outputs"]
    assert (head["model_name"], head["model_version"]) == ("echo", "3")
    assert (output["name"], output["datatype"]) == (spec.name, datatype_of(spec))
    assert output["shape"] == [1, *spec.shape]
    assert output["parameters"] == {"binary_data_size": len(body) - length}
    assert body[length:] == raw_of(image)


@every_spec
@pytest.mark.parametrize("data", ["flat", "nested", "base64"])
def test_json_gives_back_the_tensor_to_the_bit(spec: InputSpec, data: Data) -> None:
    image = prepared(spec)
    text = orjson.dumps(to_document(image, data), option=orjson.OPT_SERIALIZE_NUMPY)
    answer = PreparedImageResponse.model_validate(json.loads(text) | {"request_id": "1"})
    values = answer.tensor.data
    dtype = image.tensor.dtype
    if isinstance(values, str):
        found = np.frombuffer(base64.b64decode(values), dtype).reshape(answer.tensor.shape)
    else:
        found = np.array(values, dtype)
        assert found.shape == ((1, *spec.shape) if data == "nested" else (image.tensor.size,))
    assert np.array_equal(found.ravel(), image.tensor.ravel())
    assert answer.tensor.shape == [1, *spec.shape]
    assert (answer.layout, answer.colour) == (spec.layout, spec.colour)
    assert (answer.image.format, answer.image.width, answer.image.height) == ("PNG", 61, 47)


@every_spec
def test_picture_shows_exactly_the_pixels_that_were_normalised(spec: InputSpec) -> None:
    channels = spec.colour.channels
    pixels = np.arange(HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels)
    seen = (pixels * 7 % 256).astype(np.uint8)  # every level
    image = prepared(spec, TensorConverter(spec)(seen))
    shown = seen[:, :, 0] if spec.colour is Colour.GREY else seen
    assert np.array_equal(pixels_of(image), shown)
    with Image.open(io.BytesIO(to_png(image))) as file:
        assert (file.format, file.mode) == ("PNG", "L" if channels == 1 else "RGB")
        assert np.array_equal(np.asarray(file), shown)


def test_values_out_of_range_are_cut_in_the_picture() -> None:
    spec = echo_spec(dtype="float32", scale=1 / 255)
    tensor = np.zeros(spec.shape, np.float32)
    tensor[0, 0], tensor[0, 1] = 2.0, -1.0
    assert pixels_of(prepared(spec, tensor))[0, :3, 0].tolist() == [255, 0, 0]


def test_model_that_ignores_pixels_has_a_black_picture() -> None:
    spec = echo_spec(dtype="float32", scale=0.0, mean=(0.5,))
    assert not pixels_of(prepared(spec)).any()


def test_inverted_and_infinite_levels_are_undone() -> None:
    spec = echo_spec(dtype="float32", scale=-1.0)
    seen = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
    assert np.array_equal(pixels_of(prepared(spec, TensorConverter(spec)(seen))), seen)
    image = prepared(spec)
    levels = np.where(np.arange(256) < 200, np.arange(256), np.inf).astype(np.float32)
    image = replace(image, levels=np.stack([levels] * 3))
    image.tensor[0, 0, 0], image.tensor[0, 0, 1] = 7.2, np.inf
    near, infinite = pixels_of(image)[0, :2, 0].tolist()
    assert (near, infinite >= 200) == (7, True)
