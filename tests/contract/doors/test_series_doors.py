"""Models of windows and of rows at every door: equal tensors in, equal answers out; no images."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.support.callers import rpc as calls
from tests.support.callers import streams
from tests.support.callers.answers import refusal
from tests.support.callers.rpc import Client, connected, output_of
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import served, write_model
from tests.support.models.tiny_numeric import rows, scaled, write_scaler
from tests.support.sensors.tiny_series import (
    LENGTH,
    normalised,
    window,
    write_series_model,
)
from tests.support.servers.drop_in import ALL_ON
from tests.support.servers.server import LiveServer, serve

pytestmark = pytest.mark.process

SCOPES = "classify infer models:read stream"
LENGTH_HEADER = "inference-header-content-length"
TAKES = "The model takes windows of 8 samples of 3 channels, not images."
PHOTO = plain(RED)
B64 = {"b64": base64.b64encode(PHOTO).decode()}
Shares = dict[str, float]


@dataclass(frozen=True, slots=True)
class Visit:
    """The server, and its clients."""

    live: LiveServer
    client: httpx.Client
    rpc: Client

    def post(self, path: str, **options: Any) -> Any:
        answer = self.client.post(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    write_series_model(models)
    write_model(models)
    write_scaler(models)
    return models


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("doors")
    with (
        serve(folder, models=repository, arguments=("--grpc-port", "0"), **ALL_ON) as live,
        live.client(SCOPES) as client,
        connected(live, SCOPES) as rpc,
    ):
        yield Visit(live, client, rpc)


def v2_json(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    one = {"name": "samples", "datatype": "FP32", "shape": [1, 3, LENGTH]}
    body = {"inputs": [one | {"data": [tensor.tolist()]}]}
    return visit.post("/v2/models/loudest/infer", json=body)["outputs"][0]["data"]


def v2_binary(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    data = tensor.tobytes()
    one = {"name": "samples", "datatype": "FP32", "shape": [1, 3, LENGTH]}
    one["parameters"] = {"binary_data_size": len(data)}  # type: ignore[assignment]
    head = json.dumps({"inputs": [one]}).encode()
    headers = {LENGTH_HEADER: str(len(head))}
    answer = visit.post("/v2/models/loudest/infer", content=head + data, headers=headers)
    return answer["outputs"][0]["data"]


def v2_raw(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    answer = visit.client.post(
        "/v2/models/loudest/infer", content=tensor.tobytes(), headers={LENGTH_HEADER: "0"}
    )
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content[-12:], np.float32)


def kserve_v1(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    body = {"instances": [tensor.tolist()]}
    return visit.post("/v1/models/loudest:predict", json=body)["predictions"][0]


def tf_columns(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    body = {"inputs": {"samples": [tensor.tolist()]}}
    return visit.post("/v1/models/loudest/versions/1:predict", json=body)["outputs"][0]


def grpc_raw(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    request = pb.ModelInferRequest(model_name="loudest")
    request.inputs.add(name="samples", datatype="FP32", shape=[1, 3, LENGTH])
    request.raw_input_contents.append(tensor.tobytes())
    return output_of(visit.rpc.ask("ModelInfer", request))


def grpc_typed(visit: Visit, tensor: NDArray[np.float32]) -> Any:
    request = pb.ModelInferRequest(model_name="loudest")
    one = request.inputs.add(name="samples", datatype="FP32", shape=[1, 3, LENGTH])
    one.contents.fp32_contents.extend(tensor.ravel())
    return output_of(visit.rpc.ask("ModelInfer", request))


DOORS: tuple[Callable[[Visit, NDArray[np.float32]], Any], ...] = (
    *(v2_json, v2_binary, v2_raw, kserve_v1, tf_columns, grpc_raw, grpc_typed),
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_tensor_of_a_window_gives_the_answer_to_the_window(
    visit: Visit, repository: Path, door: Callable[[Visit, NDArray[np.float32]], Any]
) -> None:
    samples = window(7)

    async def classified() -> Shares:
        async with served(repository / "loudest/1") as model:
            answer = await model.classify_series(samples, 3, time.monotonic() + 30, ANYONE)
        return {one.label: one.score for one in answer.predictions}

    logits = np.array(door(visit, normalised(samples)), np.float64).ravel()
    raised = np.exp(logits - logits.max())
    shares = dict(zip(("first", "second", "third"), raised / raised.sum(), strict=True))
    assert shares == pytest.approx(asyncio.run(classified()), abs=2e-6)


def test_metadata_names_the_tensor(visit: Visit) -> None:
    answer = visit.client.get("/v2/models/loudest").json()
    (one,) = answer["inputs"]
    assert one == {"name": "samples", "datatype": "FP32", "shape": [-1, 3, LENGTH]}
    config = visit.client.get("/v2/models/loudest/config").json()
    assert (config["input"][0]["format"], config["input"][0]["dims"]) == ("FORMAT_NONE", [3, 8])
    found = visit.rpc.ask("ModelMetadata", pb.ModelMetadataRequest(name="loudest"))
    assert list(found.inputs[0].shape) == [-1, 3, LENGTH]
    shown = visit.rpc.ask("ModelConfig", pb.ModelConfigRequest(name="loudest")).config
    assert shown.input[0].format == pb.ModelInput.FORMAT_NONE
    info = visit.client.get("/v1/models/loudest").json()
    assert (info["input_kind"], info["input"]["kind"]) == ("series", "series")


def test_only_the_model_of_windows_states_its_kind(visit: Visit) -> None:
    listed = {one["name"]: one for one in visit.client.get("/v1/models").json()["models"]}
    assert listed["loudest"]["input_kind"] == "series"
    assert "input_kind" not in listed["colours"]
    shown = visit.client.get("/v1/models/colours").json()
    assert "input_kind" not in shown
    assert "kind" not in shown["input"]


# Images are refused


def test_classifying_an_image_is_refused(visit: Visit) -> None:
    headers = {"content-type": "image/png"}
    answer = visit.client.post("/v1/classify?model=loudest", content=PHOTO, headers=headers)
    assert refusal(answer) == (400, "unsupported")
    assert answer.json()["detail"] == TAKES


def test_each_image_of_a_batch_is_refused(visit: Visit) -> None:
    answer = visit.post("/v1/classify/batch?model=loudest", files=[("files", PHOTO)])
    (one,) = answer["results"]
    assert one["problem"] == {"status": 400, "code": "unsupported", "detail": TAKES}


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "predict": ("/predict?model=loudest", {"files": {"image": PHOTO}}),
    "torchserve": ("/predictions/loudest", {"content": PHOTO}),
    "kserve v1": (
        "/v1/models/loudest:predict",
        {"json": {"instances": [{"image_bytes": B64}]}},
    ),
    "tf classify": (
        "/v1/models/loudest:classify",
        {"json": {"examples": [{"image/encoded": B64}]}},
    ),
    "v2 bytes": (
        "/v2/models/loudest/infer",
        {
            "json": {
                "inputs": [
                    {"name": "samples", "datatype": "BYTES", "shape": [1], "data": ["GIF89a"]}
                ]
            }
        },
    ),
    "v2 raw": ("/v2/models/loudest/infer", {"content": PHOTO, "headers": {LENGTH_HEADER: "0"}}),
}


@pytest.mark.parametrize("door", OTHERS)
def test_image_is_refused_in_the_format_of_each_protocol(visit: Visit, door: str) -> None:
    path, options = OTHERS[door]
    answer = visit.client.post(path, **options)
    assert answer.status_code == 400, answer.text
    assert TAKES in answer.text


def test_image_is_refused_over_grpc(visit: Visit) -> None:
    request = potoo_pb2.PredictRequest(image_data=PHOTO, model="loudest")
    assert calls.refusal(lambda: visit.rpc.ask("Predict", request)) == (
        "UNIMPLEMENTED",
        "unsupported",
    )
    infer = pb.ModelInferRequest(model_name="loudest")
    one = infer.inputs.add(name="samples", datatype="BYTES", shape=[1])
    one.contents.bytes_contents.append(PHOTO)
    assert calls.refusal(lambda: visit.rpc.ask("ModelInfer", infer)) == (
        "UNIMPLEMENTED",
        "unsupported",
    )


def test_frame_of_a_stream_is_refused_and_the_stream_goes_on(visit: Visit) -> None:
    with streams.connected(visit.live, visit.live.token(SCOPES)) as stream:
        stream.hello(options={"model": "loudest"})
        for number in (1, 2):
            stream.send_frame(number, PHOTO)
            said = stream.hear("error")
            assert said["frame"] == number
            assert (said["problem"]["code"], said["problem"]["detail"]) == ("unsupported", TAKES)


# Rows of numbers


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_rows_are_scaled_exactly_over_http_and_grpc(visit: Visit, datatype: str) -> None:
    given = rows(3).astype({"FP64": np.float64, "FP32": np.float32}[datatype])
    expected = scaled(given.astype(np.float64))
    shape = list(given.shape)
    one = {"name": "rows", "datatype": datatype, "shape": shape, "data": given.ravel().tolist()}
    (output,) = visit.post("/v2/models/scaler/infer", json={"inputs": [one]})["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("scaled", "FP64", shape)
    assert np.array_equal(np.array(output["data"]).reshape(shape), expected)
    for is_raw in (True, False):
        request = pb.ModelInferRequest(model_name="scaler")
        tensor = request.inputs.add(name="rows", datatype=datatype, shape=shape)
        if is_raw:
            request.raw_input_contents.append(given.tobytes())
        else:
            field = f"fp{datatype[2:]}_contents"
            getattr(tensor.contents, field).extend(given.ravel())
        answer = visit.rpc.ask("ModelInfer", request)
        assert answer.outputs[0].datatype == "FP64"
        found = np.frombuffer(answer.raw_output_contents[0], np.float64)
        assert np.array_equal(found.reshape(shape), expected)


def test_rows_are_scaled_by_the_drop_ins_too(visit: Visit) -> None:
    given = rows(2)
    answer = visit.post("/v1/models/scaler:predict", json={"instances": given.tolist()})
    assert np.array_equal(answer["predictions"], scaled(given))
    shown = visit.client.get("/v1/models/scaler/metadata").json()["metadata"]["signature_def"]
    (signature,) = shown["signature_def"].values()
    assert signature["inputs"]["rows"]["dtype"] == "DT_DOUBLE"
    assert signature["outputs"]["scaled"]["dtype"] == "DT_DOUBLE"


def test_metadata_names_the_rows(visit: Visit) -> None:
    answer = visit.client.get("/v2/models/scaler").json()
    assert answer["inputs"] == [{"name": "rows", "datatype": "FP64", "shape": [-1, 3]}]
    assert answer["outputs"] == [{"name": "scaled", "datatype": "FP64", "shape": [-1, 3]}]
    found = visit.rpc.ask("ModelConfig", pb.ModelConfigRequest(name="scaler")).config
    assert found.input[0].data_type == found.output[0].data_type == pb.TYPE_FP64
    info = visit.client.get("/v1/models/scaler").json()
    assert (info["input_kind"], info["classes"], info["labels"]) == ("numeric", 0, [])


def test_images_and_labels_are_refused_for_rows(visit: Visit) -> None:
    headers = {"content-type": "image/png"}
    answer = visit.client.post("/v1/classify?model=scaler", content=PHOTO, headers=headers)
    assert refusal(answer) == (400, "unsupported")
    assert answer.json()["detail"] == (
        "The model gives numbers, not labels (output.kind is values)."
    )
