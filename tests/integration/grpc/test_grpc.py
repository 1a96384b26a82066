"""Both gRPC services on a running server: results and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.support.callers.rpc import Client, connected, files, output_of, tensor
from tests.support.callers.tensors import by_onnxruntime, images
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import LABELS, SIDE
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server) as client:
        yield client


@pytest.fixture
def expected(colours: Path) -> Any:
    return by_onnxruntime(colours / "colours" / "1" / "model.onnx", images(3))


# Inference


def test_raw_tensors_give_the_outputs_of_onnx_runtime(rpc: Client, expected: Any) -> None:
    answer = rpc.ask("ModelInfer", tensor(images(3), id="é 7"))
    assert np.allclose(output_of(answer), expected, rtol=1e-6)
    assert (answer.model_name, answer.model_version, answer.id) == ("colours", "1", "é 7")


def test_typed_contents_give_the_outputs_of_onnx_runtime(rpc: Client, expected: Any) -> None:
    request = pb.ModelInferRequest(model_name="colours", model_version="1")
    one = request.inputs.add(name="image", datatype="FP32", shape=[3, 3, SIDE, SIDE])
    one.contents.fp32_contents.extend(images(3).ravel())
    assert np.allclose(output_of(rpc.ask("ModelInfer", request)), expected, rtol=1e-6)


@pytest.mark.parametrize("is_raw", [True, False])
def test_encoded_images_are_accepted_as_bytes(rpc: Client, *, is_raw: bool) -> None:
    pictures = [plain(colour, format="JPEG") for colour in (RED, GREEN, BLUE)]
    request = files(*pictures)
    if is_raw:
        request.inputs[0].ClearField("contents")
        raw = b"".join(len(one).to_bytes(4, "little") + one for one in pictures)
        request.raw_input_contents.append(raw)
    assert np.allclose(output_of(rpc.ask("ModelInfer", request)), 10 * np.eye(3), atol=0.2)


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_classification_output_has_labels(rpc: Client, kind: str) -> None:
    request = files(plain(RED), plain(BLUE))
    output = request.outputs.add(name="logits")
    setattr(output.parameters["classification"], kind, 2)
    answer = rpc.ask("ModelInfer", request)
    (one,), (raw,) = answer.outputs, answer.raw_output_contents
    assert (one.datatype, list(one.shape)) == ("BYTES", [2, 2])
    elements, place = [], 0
    while place < len(raw):
        size = int.from_bytes(raw[place : place + 4], "little")
        elements.append(raw[place + 4 : place + 4 + size].decode())
        place += 4 + size
    assert [elements[0], elements[2]] == ["10.000000:0:red", "10.000000:2:blue"]


def test_priority_and_timeout_parameters_are_accepted(rpc: Client) -> None:
    request = tensor(images(1))
    request.parameters["priority"].uint64_param = 1
    request.parameters["timeout"].int64_param = 20_000_000
    request.parameters["mine"].string_param = "x"
    assert output_of(rpc.ask("ModelInfer", request)).shape == (1, 3)


def test_non_finite_values_are_returned(rpc: Client) -> None:
    answer = rpc.ask("ModelInfer", tensor(np.full((1, 3, SIDE, SIDE), np.nan, np.float32)))
    assert np.isnan(output_of(answer)).all()


# ModelService.Predict


def test_predict_classifies_an_image(rpc: Client) -> None:
    answer = rpc.ask("Predict", potoo_pb2.PredictRequest(image_data=plain(GREEN)))
    assert answer.class_names[0] == "green"
    assert set(answer.class_names) == set(LABELS)
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
    assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)
    assert (answer.model_name, answer.model_version, answer.abstained) == ("colours", 1, False)


def test_predict_accepts_model_and_top_k(rpc: Client) -> None:
    request = potoo_pb2.PredictRequest(image_data=plain(BLUE), model="colours", top_k=1)
    assert list(rpc.ask("Predict", request).class_names) == ["blue"]


# Messages


def test_health_needs_no_token(server: LiveServer) -> None:
    with connected(server, None) as nobody:
        assert nobody.ask("ServerLive", pb.ServerLiveRequest()).live
        assert nobody.ask("ServerReady", pb.ServerReadyRequest()).ready


def test_unknown_model_is_not_ready(rpc: Client) -> None:
    def ready(**members: str) -> bool:
        return bool(rpc.ask("ModelReady", pb.ModelReadyRequest(**members)).ready)

    assert ready(name="colours")
    assert ready(name="colours", version="1")
    assert not ready(name="colours", version="2")
    assert not ready(name="colours", version="one")
    assert not ready(name="nope")


def test_server_and_model_metadata_are_returned(rpc: Client) -> None:
    assert rpc.ask("ServerMetadata", pb.ServerMetadataRequest()).name == "potoo"
    metadata = rpc.ask("ModelMetadata", pb.ModelMetadataRequest(name="colours", version="1"))
    assert (metadata.platform, list(metadata.versions)) == ("onnxruntime_onnx", ["1"])
    assert list(metadata.inputs[0].shape) == [-1, 3, SIDE, SIDE]
    assert (metadata.outputs[0].datatype, list(metadata.outputs[0].shape)) == ("FP32", [-1, 3])
    config = rpc.ask("ModelConfig", pb.ModelConfigRequest(name="colours")).config
    assert config.max_batch_size == 64
    assert config.input[0].data_type == pb.TYPE_FP32
    assert config.input[0].format == pb.ModelInput.FORMAT_NCHW
    assert list(config.input[0].dims) == [3, SIDE, SIDE]
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"
    for ready in (True, False):
        (entry,) = rpc.ask("RepositoryIndex", pb.RepositoryIndexRequest(ready=ready)).models
        assert (entry.name, entry.version, entry.state) == ("colours", "1", "READY")


def test_statistics_count_inferences(rpc: Client) -> None:
    def counted(**members: str) -> pb.ModelStatistics:
        request = pb.ModelStatisticsRequest(**members)
        (found,) = rpc.ask("ModelStatistics", request).model_stats
        assert isinstance(found, pb.ModelStatistics)
        return found

    before = counted(name="colours")
    rpc.ask("ModelInfer", tensor(images(2)))
    after = counted()
    assert after.inference_count == before.inference_count + 2
    stats = after.inference_stats
    assert stats.success.count == before.inference_stats.success.count + 1
    parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
    assert stats.success.ns >= sum(part.ns for part in parts)


# Metadata of responses


@pytest.mark.parametrize("given", ["mine", "a-b_c.9"])
def test_valid_request_id_is_echoed(rpc: Client, given: str) -> None:
    answer = rpc.call("ServerLive", pb.ServerLiveRequest(), x_request_id=given)
    assert answer.trailers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "semi;colon"])
def test_invalid_request_id_is_replaced(rpc: Client, given: str) -> None:
    answer = rpc.call("ServerLive", pb.ServerLiveRequest(), x_request_id=given)
    assert re.fullmatch("[0-9a-f]{32}", answer.trailers["x-request-id"])


def test_every_call_is_logged_and_counted(rpc: Client, server: LiveServer) -> None:
    def counted() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        pattern = (
            r'potoo_grpc_requests_total{code="OK",method="potoo.v1.ModelService/Predict"} (\S+)'
        )
        found = re.search(pattern, text)
        assert found
        return float(found[1])

    before, picture = counted(), plain(RED)
    answer = rpc.call(
        "Predict", potoo_pb2.PredictRequest(image_data=picture), x_request_id="to-be-logged"
    )
    assert counted() == before + 1
    assert wait_until(lambda: '"to-be-logged"' in server.events())
    (line,) = [line for line in server.events().splitlines() if '"to-be-logged"' in line]
    for part in ('"event":"rpc"', '"code":"OK"', '"principal":"admin"', '"client":"127.0.0.1"'):
        assert part in line
    assert f'"sent":{answer.message.ByteSize()}' in line
    assert "Bearer" not in line


def test_predictions_are_counted_by_protocol(rpc: Client, server: LiveServer) -> None:
    def counted() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        found = re.search(r'potoo_predictions_total{model="colours",protocol="grpc"} (\S+)', text)
        assert found
        return float(found[1])

    before = counted()
    rpc.ask("ModelInfer", tensor(images(5)))
    rpc.ask("Predict", potoo_pb2.PredictRequest(image_data=plain()))
    assert counted() == before + 6
