"""The prepared tensor of an image is, bit for bit, what the graph is given when it is classified."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from observability.onnx_runtime import ort
from schemas.errors import DeadlineExceeded, InvalidImage, NotReady, Unsupported, UnsupportedImage
from schemas.http.inference import Datatype
from schemas.manifest.model_input import Dtype, InputSpec
from service.core.engine.pixel_prefix import PIXELS, TENSORS, with_pixels
from service.core.imaging.preprocessing import Preprocessor, pixel_spec
from service.core.imaging.resizers import Resizer
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import of_bytes
from service.preprocess.images.view import pixels_of
from tests.support.models.calls import ANYONE
from tests.support.models.echo_model import EVERY_SPEC, HEIGHT, WIDTH, echo_spec, write_echo
from tests.support.models.pictures import encoded, gradient, noise, oriented
from tests.support.models.published_scaler import publish_scaler
from tests.support.models.tiny_model import image_limits, served
from tests.support.resizers import RESIZERS
from tests.support.sensors.tiny_series import write_series_model

pytestmark = pytest.mark.anyio
PHOTOS = {
    "png": encoded(gradient((61, 47))),
    "turned jpeg": oriented(gradient((61, 47)), 6, "JPEG", quality=90),
    "noise": encoded(noise((WIDTH, HEIGHT))),
    "large jpeg": encoded(gradient((640, 480)), "JPEG"),
}


def later() -> float:
    return time.monotonic() + 60


def named(spec: InputSpec) -> str:
    return f"{spec.layout} {spec.dtype} {spec.colour}"


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize("spec", EVERY_SPEC, ids=named)
async def test_tensor_is_what_classifying_feeds_to_the_graph(
    tmp_path: Path, spec: InputSpec, resizer: Resizer
) -> None:
    async with served(write_echo(tmp_path, spec), resizer=resizer) as model:
        for photo in PHOTOS.values():
            image = await model.image_tensor(photo, later(), ANYONE)
            request = InferRequest((of_bytes(spec.name, [photo], (1,)),))
            answer = await model.infer(request, later(), ANYONE, most=1)
            given = answer.outputs[0].array.reshape(1, *spec.shape)
            assert image.tensor.dtype == np.dtype(spec.dtype.value)
            assert image.tensor.shape == (1, *spec.shape)
            assert image.tensor.flags.c_contiguous
            assert np.array_equal(image.tensor.astype(np.float32), given)


@pytest.mark.parametrize(
    "spec", [one for one in EVERY_SPEC if one.dtype is Dtype.FLOAT32], ids=named
)
async def test_tensor_is_what_the_prefix_of_pixels_computes(
    tmp_path: Path, spec: InputSpec
) -> None:
    folder = write_echo(tmp_path, spec)
    graph = onnx.load_from_string(with_pixels(folder / "model.onnx", spec).data)
    shown = helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, None)
    graph.graph.output.append(shown)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels_of = Preprocessor(pixel_spec(spec), image_limits())
    none = np.empty((0, *spec.shape), np.float32)
    async with served(folder) as model:
        for photo in PHOTOS.values():
            image = await model.image_tensor(photo, later(), ANYONE)
            pixels = pixels_of(photo).tensor[np.newaxis]
            (behind,) = session.run([spec.name], {PIXELS: pixels, TENSORS: none})
            assert np.array_equal(image.tensor, behind)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
async def test_scaler_in_front_of_the_model_is_applied(tmp_path: Path, layout: str) -> None:
    publish_scaler(tmp_path, "light", np.array([[10.0, 20.0, -5.0], [30.0, 90.0, 255.0]]))
    spec = echo_spec(layout=layout, dtype="float32", colour="BGR", scaler="light")
    async with served(write_echo(tmp_path, spec)) as model:
        image = await model.image_tensor(PHOTOS["noise"], later(), ANYONE)
        request = InferRequest((of_bytes(spec.name, [PHOTOS["noise"]], (1,)),))
        answer = await model.infer(request, later(), ANYONE, most=1)
    assert np.array_equal(image.tensor.ravel(), answer.outputs[0].array.ravel())
    assert image.spec.scaler == "light@1"
    assert np.array_equal(pixels_of(image), np.asarray(noise((WIDTH, HEIGHT))))


async def test_prepared_tensor_gives_the_answer_of_the_image(tmp_path: Path) -> None:
    spec = EVERY_SPEC[0]
    async with served(write_echo(tmp_path, spec)) as model:
        photo = PHOTOS["png"]
        image = await model.image_tensor(photo, later(), ANYONE)
        by_image = InferRequest((of_bytes(spec.name, [photo], (1,)),))
        tensor = of_bytes(spec.name, [], (0,))
        tensor = replace(tensor, datatype=Datatype.FP32, array=image.tensor)
        one, other = [
            (await model.infer(request, later(), ANYONE, most=1)).outputs[0].array
            for request in (by_image, InferRequest((tensor,)))
        ]
    assert np.array_equal(one, other)


async def test_facts_of_the_image_are_those_of_the_file(tmp_path: Path) -> None:
    async with served(write_echo(tmp_path, echo_spec())) as model:
        image = await model.image_tensor(PHOTOS["turned jpeg"], later(), ANYONE)
    assert (image.model.name, image.model.version) == ("echo", 1)
    assert (image.format, image.width, image.height) == ("JPEG", 61, 47)
    assert not image.is_truncated


async def test_bad_images_and_passed_deadlines_are_refused(tmp_path: Path) -> None:
    async with served(write_echo(tmp_path, echo_spec())) as model:
        with pytest.raises(UnsupportedImage):
            await model.image_tensor(b"no image", later(), ANYONE)
        with pytest.raises(InvalidImage):
            await model.image_tensor(PHOTOS["png"][:100], later(), ANYONE)
        with pytest.raises(DeadlineExceeded):
            await model.image_tensor(PHOTOS["png"], time.monotonic() - 1, ANYONE)
        assert model.statistics.execution_count == 0
    with pytest.raises(NotReady):
        await model.image_tensor(PHOTOS["png"], later(), ANYONE)


async def test_accepted_images_are_prepared_before_the_model_closes(tmp_path: Path) -> None:
    async with served(write_echo(tmp_path, echo_spec())) as model:
        calls = [
            asyncio.create_task(model.image_tensor(PHOTOS["png"], later(), ANYONE))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        await model.drain()
        assert len({(await call).tensor.tobytes() for call in calls}) == 1


async def test_model_of_windows_takes_no_image(tmp_path: Path) -> None:
    async with served(write_series_model(tmp_path)) as model:
        with pytest.raises(Unsupported, match="takes no images"):
            await model.image_tensor(PHOTOS["png"], later(), ANYONE)
