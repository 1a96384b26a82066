"""One photo through every endpoint: equal results in each protocol's format.

Raw outputs are calibrated here by hand, according to the manifest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.models import ModelManifest
from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.version_files import read_labels, read_manifest
from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.callers.rpc import Client, connected, output_of
from tests.support.models.pictures import encoded, gradient, oriented
from tests.support.models.tiny_model import image_limits, write_model
from tests.support.servers.drop_in import ALL_ON
from tests.support.servers.server import serve

pytestmark = pytest.mark.process

SCOPES = "classify infer models:read"
MODELS = ("colours", "everyday")
LENGTH = "inference-header-content-length"
Shares = dict[str, float]
"""Probabilities by label, best first; possibly only of the best classes."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One photo, and the clients to send it to an endpoint."""

    client: httpx.Client
    rpc: Client
    manifest: ModelManifest
    labels: tuple[str, ...]
    photo: bytes

    @property
    def model(self) -> str:
        return self.manifest.name

    @property
    def b64(self) -> dict[str, str]:
        return {"b64": base64.b64encode(self.photo).decode()}

    @property
    def tensor(self) -> NDArray[Any]:
        """The tensor of a caller that follows the manifest."""
        tensor: NDArray[Any] = Preprocessor(self.manifest.image_input, image_limits())(
            self.photo
        ).tensor
        return tensor

    def post(self, path: str, **options: Any) -> Any:
        answer = self.client.post(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def calibrated(self, logits: Any) -> Shares:
        """Interpret the graph's raw output according to the manifest."""
        scaled = np.array(logits, np.float64).ravel() / self.manifest.temperature
        raised = np.exp(scaled - scaled.max())
        shares = dict(zip(self.labels, raised / raised.sum(), strict=True))
        return dict(sorted(shares.items(), key=lambda one: -one[1]))


def predicted(answer: dict[str, Any]) -> Shares:
    return {one["label"]: one["score"] for one in answer["predictions"]}


def raw_body(visit: Visit) -> Shares:
    headers = {"content-type": "application/octet-stream"}
    path = f"/v1/classify?model={visit.model}&top_k=100"
    return predicted(visit.post(path, content=visit.photo, headers=headers))


def multipart(visit: Visit) -> Shares:
    path = f"/v1/classify?model={visit.model}&top_k=100"
    return predicted(visit.post(path, files={"file": visit.photo}))


def base64_json(visit: Visit) -> Shares:
    path = f"/v1/classify?model={visit.model}&top_k=100"
    return predicted(visit.post(path, json={"image": visit.b64["b64"]}))


def batch(visit: Visit) -> Shares:
    path = f"/v1/classify/batch?model={visit.model}&top_k=100"
    answer = visit.post(path, files=[("files", visit.photo), ("files", visit.photo)])
    first, second = (predicted(one["result"]) for one in answer["results"])
    assert first == second
    return first


def _infer(visit: Visit, data: bytes, shape: list[int], datatype: str, **members: Any) -> Any:
    given: dict[str, Any] = {
        "name": visit.manifest.input.name,
        "shape": shape,
        "datatype": datatype,
    }
    given["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [given]} | members).encode()
    path, headers = f"/v2/models/{visit.model}/infer", {LENGTH: str(len(head))}
    (output,) = visit.post(path, content=head + data, headers=headers)["outputs"]
    return output["data"]


def _as_bytes(visit: Visit) -> bytes:
    return len(visit.photo).to_bytes(4, "little") + visit.photo


def v2_image(visit: Visit) -> Shares:
    return visit.calibrated(_infer(visit, _as_bytes(visit), [1], "BYTES"))


def v2_tensor(visit: Visit) -> Shares:
    tensor = visit.tensor
    datatype = "UINT8" if tensor.dtype == np.uint8 else "FP32"
    return visit.calibrated(_infer(visit, tensor.tobytes(), [1, *tensor.shape], datatype))


def v2_classification(visit: Visit) -> Shares:
    name, count = visit.manifest.output.name, len(visit.labels)
    outputs = [{"name": name, "parameters": {"classification": count}}]
    found = _infer(visit, _as_bytes(visit), [1], "BYTES", outputs=outputs)
    logits = np.zeros(count)
    for value, index, label in (one.split(":", 2) for one in found):
        logits[int(index)] = float(value)
        assert label == visit.labels[int(index)]
    shares = visit.calibrated(logits)
    assert [one.split(":", 2)[2] for one in found] == list(shares)
    return shares


def v1_image(visit: Visit) -> Shares:
    body = {"instances": [{"image_bytes": visit.b64}]}
    (logits,) = visit.post(f"/v1/models/{visit.model}:predict", json=body)["predictions"]
    return visit.calibrated(logits)


def v1_tensor(visit: Visit) -> Shares:
    body = {"instances": [visit.tensor.tolist()]}
    (logits,) = visit.post(f"/v1/models/{visit.model}:predict", json=body)["predictions"]
    return visit.calibrated(logits)


def tf_columns(visit: Visit) -> Shares:
    body = {"inputs": {visit.manifest.input.name: [visit.tensor.tolist()]}}
    (logits,) = visit.post(f"/v1/models/{visit.model}/versions/1:predict", json=body)["outputs"]
    return visit.calibrated(logits)


def tf_classify(visit: Visit) -> Shares:
    body = {"examples": [{"image/encoded": visit.b64}]}
    (pairs,) = visit.post(f"/v1/models/{visit.model}:classify", json=body)["results"]
    return dict(pairs)


def torchserve(visit: Visit) -> Shares:
    shares: Shares = visit.post(f"/predictions/{visit.model}", content=visit.photo)
    return shares


def torchserve_form(visit: Visit) -> Shares:
    shares: Shares = visit.post(f"/predictions/{visit.model}/1.0", files={"data": visit.photo})
    return shares


def _plain(visit: Visit, **options: Any) -> Shares:
    answer = visit.post(f"/predict?model={visit.model}&top_k=100", **options)
    shares: Shares = answer["probabilities"]
    assert (answer["class"], answer["confidence"]) == next(iter(shares.items()))
    return shares


def predict_file(visit: Visit) -> Shares:
    return _plain(visit, files={"image": visit.photo})


def predict_base64(visit: Visit) -> Shares:
    return _plain(visit, data={"image": visit.b64["b64"]})


def grpc_predict(visit: Visit) -> Shares:
    request = potoo_pb2.PredictRequest(image_data=visit.photo, model=visit.model, top_k=100)
    answer = visit.rpc.ask("Predict", request)
    return dict(zip(answer.class_names, answer.probabilities, strict=True))


def grpc_image(visit: Visit) -> Shares:
    request = pb.ModelInferRequest(model_name=visit.model)
    one = request.inputs.add(name=visit.manifest.input.name, datatype="BYTES", shape=[1])
    one.contents.bytes_contents.append(visit.photo)
    return visit.calibrated(output_of(visit.rpc.ask("ModelInfer", request)))


def grpc_tensor(visit: Visit) -> Shares:
    tensor = visit.tensor
    datatype = "UINT8" if tensor.dtype == np.uint8 else "FP32"
    request = pb.ModelInferRequest(model_name=visit.model)
    request.inputs.add(name=visit.manifest.input.name, datatype=datatype, shape=[1, *tensor.shape])
    request.raw_input_contents.append(tensor.tobytes())
    return visit.calibrated(output_of(visit.rpc.ask("ModelInfer", request)))


# Add new endpoints here: a function from a visit to probabilities. Add those with a summary to
# test_every_summary.py too.
DOORS: tuple[Callable[[Visit], Shares], ...] = (
    *(raw_body, multipart, base64_json, batch),
    *(v2_image, v2_tensor, v2_classification),
    *(v1_image, v1_tensor, tf_columns, tf_classify),
    *(torchserve, torchserve_form, predict_file, predict_base64),
    *(grpc_predict, grpc_image, grpc_tensor),
)
PHOTOS: dict[str, Callable[[], bytes]] = {
    "a photo": (BUNDLED_MODELS / "everyday/1/golden/stop-sign.png").read_bytes,
    "a turned JPEG": lambda: oriented(gradient(), 6, "JPEG", quality=90),
    "a grey GIF": lambda: encoded(gradient((90, 70)).convert("L"), "GIF"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model, and one whose temperature matters."""
    models = tmp_path_factory.mktemp("models")
    write_model(models, None, temperature=3.0)
    (models / "everyday").symlink_to(BUNDLED_MODELS / "everyday")
    return models


@pytest.fixture(scope="module")
def callers(
    tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> Iterator[tuple[httpx.Client, Client]]:
    """Over HTTP and over gRPC."""
    folder = tmp_path_factory.mktemp("doors")
    with (
        serve(folder, models=repository, arguments=("--grpc-port", "0"), **ALL_ON) as live,
        live.client(SCOPES) as client,
        connected(live, SCOPES) as rpc,
    ):
        yield client, rpc


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("photo", PHOTOS)
def test_every_endpoint_gives_the_same_answer(
    callers: tuple[httpx.Client, Client], repository: Path, photo: str, model: str
) -> None:
    folder = repository / model / "1"
    manifest = read_manifest(folder)
    visit = Visit(*callers, manifest, read_labels(folder, manifest), PHOTOS[photo]())
    expected = raw_body(visit)
    best = next(iter(expected))
    for door in DOORS:
        found = door(visit)
        assert next(iter(found)) == best, door.__name__
        assert len(found) >= min(5, len(visit.labels)), door.__name__
        for label, score in found.items():
            assert score == pytest.approx(expected[label], abs=1e-5), (door.__name__, label)
    ours = grpc_predict(visit)
    assert list(ours) == list(expected), "both transports put all labels in the same order"
    assert ours == pytest.approx(expected, abs=1e-6)
