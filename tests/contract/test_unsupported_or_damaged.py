"""Refused files at every endpoint: unsupported and damaged files get different errors.

Other protocols answer both with 400, so that only the messages differ there.
"""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from schemas.errors import CallerError, InvalidImage
from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from service.core.imaging.preprocessing import Preprocessor
from tests.support.callers.rpc import Client, connected, refused
from tests.support.models.hostile_files import chunk
from tests.support.models.pictures import blobs, encoded, plain
from tests.support.models.tiff_files import tiff_of
from tests.support.models.tiny_model import image_limits, input_spec, write_model
from tests.support.servers.drop_in import ALL_ON
from tests.support.servers.server import serve

pytestmark = pytest.mark.process
SCOPES = "classify infer models:read"
UNSUPPORTED, DAMAGED = "unsupported_image", "invalid_image"
STATUS = {UNSUPPORTED: 415, DAMAGED: 422}
Refusal = tuple[int, str, str]
"""HTTP status (0 if absent), our error code (empty if the protocol has none), and message."""


def jpeg_of_12_bits() -> bytes:
    data = bytearray(plain(format="JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def bmp_with_jpeg() -> bytes:
    data = bytearray(plain(format="BMP"))
    data[30:34] = struct.pack("<I", 4)
    return bytes(data)


def half(kind: str) -> bytes:
    data = encoded(blobs((64, 48)), kind)
    return data[: len(data) // 2]


FILES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a JPEG of 12 bits": (jpeg_of_12_bits, UNSUPPORTED, "12 bits"),
    "a BMP with a JPEG in it": (bmp_with_jpeg, UNSUPPORTED, "BMP of this kind"),
    "Apple's PNG": (
        lambda: plain()[:8] + chunk(b"CgBI", bytes(4)) + plain()[8:],
        UNSUPPORTED,
        "Apple",
    ),
    "a TIFF of 32 bits": (
        lambda: tiff_of({256: 8, 257: 8, 258: 32, 262: 1}, [bytes(256)]),
        UNSUPPORTED,
        "16 bits",
    ),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(40), UNSUPPORTED, "This is JPEG XL; send JPEG"),
    **{
        f"half a {kind}": (lambda kind=kind: half(kind), DAMAGED, "truncated or damaged")  # type: ignore[misc]
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    },
}


@dataclass(frozen=True, slots=True)
class Visit:
    """A file, and the clients to send it to an endpoint."""

    client: httpx.Client
    rpc: Client
    models: Path
    file: Path

    @property
    def data(self) -> bytes:
        return self.file.read_bytes()

    @property
    def b64(self) -> str:
        return base64.b64encode(self.data).decode()


def of_problem(answer: httpx.Response) -> Refusal:
    problem = answer.json()
    return answer.status_code, problem["code"], problem["detail"]


def of_others(answer: httpx.Response) -> Refusal:
    assert answer.status_code == 400
    return 0, "", answer.text


def raw_body(visit: Visit) -> Refusal:
    headers = {"content-type": "application/octet-stream"}
    return of_problem(visit.client.post("/v1/classify", content=visit.data, headers=headers))


def multipart(visit: Visit) -> Refusal:
    return of_problem(visit.client.post("/v1/classify", files={"file": visit.data}))


def base64_json(visit: Visit) -> Refusal:
    return of_problem(visit.client.post("/v1/classify", json={"image": visit.b64}))


def batch(visit: Visit) -> Refusal:
    answer = visit.client.post("/v1/classify/batch", files=[("files", visit.data)])
    problem = answer.json()["results"][0]["problem"]
    return problem["status"], problem["code"], problem["detail"]


def v2_image(visit: Visit) -> Refusal:
    data = len(visit.data).to_bytes(4, "little") + visit.data
    one = {"name": "image", "shape": [1], "datatype": "BYTES"}
    head = json.dumps({"inputs": [one | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    path = "/v2/models/colours/infer"
    return of_others(visit.client.post(path, content=head + data, headers=headers))


def v2_raw(visit: Visit) -> Refusal:
    headers = {"inference-header-content-length": "0"}
    path = "/v2/models/colours/infer"
    return of_others(visit.client.post(path, content=visit.data, headers=headers))


def v1_image(visit: Visit) -> Refusal:
    body = {"instances": [{"image_bytes": {"b64": visit.b64}}]}
    return of_others(visit.client.post("/v1/models/colours:predict", json=body))


def tf_classify(visit: Visit) -> Refusal:
    body = {"examples": [{"image/encoded": {"b64": visit.b64}}]}
    return of_others(visit.client.post("/v1/models/colours:classify", json=body))


def torchserve(visit: Visit) -> Refusal:
    return of_others(visit.client.post("/predictions/colours", content=visit.data))


def predict_file(visit: Visit) -> Refusal:
    return of_problem(visit.client.post("/predict", files={"image": visit.data}))


def of_rpc(call: Callable[[], object]) -> Refusal:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return 0, refused(error)[1], error.details()


def grpc_predict(visit: Visit) -> Refusal:
    request = potoo_pb2.PredictRequest(image_data=visit.data)
    return of_rpc(lambda: visit.rpc.ask("Predict", request))


def grpc_image(visit: Visit) -> Refusal:
    request = pb.ModelInferRequest(model_name="colours")
    one = request.inputs.add(name="image", datatype="BYTES", shape=[1])
    one.contents.bytes_contents.append(visit.data)
    return of_rpc(lambda: visit.rpc.ask("ModelInfer", request))


def command_line(visit: Visit) -> Refusal:
    command = [sys.executable, "-m", "service", "classify", "--json", str(visit.file)]
    ran = subprocess.run(
        [*command, "--models", str(visit.models)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1, ran.stderr
    answer = json.loads(ran.stdout)
    return 0, answer["code"], answer["problem"]


def preprocessor(visit: Visit) -> Refusal:
    with pytest.raises(CallerError) as caught:
        Preprocessor(input_spec(), image_limits())(visit.data)
    assert isinstance(caught.value, InvalidImage) == (caught.value.code == DAMAGED)
    return 0, caught.value.code, caught.value.detail


DOORS: tuple[Callable[[Visit], Refusal], ...] = (
    *(raw_body, multipart, base64_json, batch, predict_file),
    *(v2_image, v2_raw, v1_image, tf_classify, torchserve),
    *(grpc_predict, grpc_image, preprocessor),
)
SLOW_DOORS = {"a JPEG of 12 bits": (command_line,), "half a JPEG": (command_line,)}
"""Endpoints that start a program, tested with only some files."""


@pytest.fixture(scope="module")
def visitors(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[httpx.Client, Client, Path]]:
    folder = tmp_path_factory.mktemp("refused")
    models = folder / "models"
    write_model(models, None)
    with (
        serve(folder, models=models, arguments=("--grpc-port", "0"), **ALL_ON) as live,
        live.client(SCOPES) as client,
        connected(live, SCOPES) as rpc,
    ):
        yield client, rpc, models


@pytest.mark.parametrize("name", FILES)
def test_every_door_tells_unsupported_from_damaged(
    visitors: tuple[httpx.Client, Client, Path], tmp_path: Path, name: str
) -> None:
    make, code, words = FILES[name]
    file = tmp_path / "file"
    file.write_bytes(make())
    visit = Visit(*visitors, file)
    for door in DOORS + SLOW_DOORS.get(name, ()):
        found_status, found_code, found_words = door(visit)
        assert found_status in {0, STATUS[code]}, door.__name__
        assert found_code in {"", code}, door.__name__
        assert words in found_words, door.__name__
