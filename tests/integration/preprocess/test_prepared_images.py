"""An image in, the tensor that the model would see out, over real sockets."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from schemas.pb import potoo_pb2 as pb
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.version_files import read_manifest
from tests.support.callers.accounts import add_device
from tests.support.callers.rpc import Client, connected, refusal
from tests.support.models.pictures import encoded, gradient, plain
from tests.support.models.tiny_model import SIDE, image_limits
from tests.support.servers.server import LiveServer

PATH = "/v1/preprocess/image"
PHOTO = encoded(gradient((61, 47)))
RAW = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def preparer(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client("preprocess") as client:
        yield client


@pytest.fixture(scope="module")
def expected(colours: Path) -> NDArray[np.float32]:
    """The tensor of ``PHOTO``, as the core prepares it."""
    spec = read_manifest(colours / "colours" / "1").image_input
    return np.asarray(Preprocessor(spec, image_limits())(PHOTO).tensor[np.newaxis], np.float32)


def test_json_holds_the_tensor_and_what_it_is(
    preparer: httpx.Client, expected: NDArray[np.float32]
) -> None:
    answer = preparer.post(f"{PATH}?model=colours", content=PHOTO, headers=RAW)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["model"] == {"name": "colours", "version": 1}
    assert (body["layout"], body["colour"]) == ("NCHW", "RGB")
    assert body["image"] == {"format": "PNG", "width": 61, "height": 47, "truncated": False}
    assert body["request_id"] == answer.headers["x-request-id"]
    tensor = body["tensor"]
    assert (tensor["name"], tensor["datatype"]) == ("image", "FP32")
    assert tensor["shape"] == [1, 3, SIDE, SIDE]
    assert np.array_equal(np.array(tensor["data"], np.float32), expected.ravel())


def test_npy_is_the_tensor(preparer: httpx.Client, expected: NDArray[np.float32]) -> None:
    headers = RAW | {"accept": "application/x-npy"}
    answer = preparer.post(PATH, content=PHOTO, headers=headers)
    assert answer.headers["content-type"] == "application/x-npy"
    assert answer.headers["potoo-model"] == "colours@1"
    assert np.array_equal(np.load(io.BytesIO(answer.content)), expected)


def test_binary_answer_may_be_sent_to_infer_as_it_is(
    server: LiveServer, preparer: httpx.Client, expected: NDArray[np.float32]
) -> None:
    headers = RAW | {"accept": "application/octet-stream"}
    answer = preparer.post(PATH, content=PHOTO, headers=headers)
    length = int(answer.headers["inference-header-content-length"])
    assert answer.content[length:] == expected.astype("<f4").tobytes()
    head = answer.content[:length].replace(b'"outputs"', b'"inputs"')
    head = head.replace(b'"model_name"', b'"x"').replace(b'"model_version"', b'"y"')
    with server.client("infer classify") as client:
        inferred = client.post(
            "/v2/models/colours/infer",
            content=head + answer.content[length:],
            headers={"inference-header-content-length": str(len(head))},
        ).json()
    mean = 10 * expected.mean(axis=(0, 2, 3), dtype=np.float64)
    assert inferred["outputs"][0]["data"] == pytest.approx(mean.tolist(), abs=1e-4)


def test_picture_shows_what_the_model_sees(
    preparer: httpx.Client, expected: NDArray[np.float32]
) -> None:
    answer = preparer.post(f"{PATH}?view=png", content=PHOTO, headers=RAW)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(answer.content)) as file:
        pixels = np.asarray(file)
    assert np.array_equal(pixels, np.rint(expected[0] * 255).transpose(1, 2, 0))


def test_every_form_of_upload_gives_the_same_tensor(preparer: httpx.Client) -> None:
    text = base64.b64encode(PHOTO).decode()
    answers = [
        preparer.post(PATH, content=PHOTO, headers=RAW),
        preparer.post(PATH, files={"file": ("a.png", PHOTO, "image/png")}),
        preparer.post(PATH, json={"image": text}),
    ]
    assert len({str(answer.json()["tensor"]) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("accept", "query", "content_type"),
    [
        ("*/*", "", "application/json"),
        ("application/*", "", "application/json"),
        ("application/x-npy, application/json", "", "application/x-npy"),
        ("application/json;q=0, */*", "", "application/x-npy"),
        ("text/html, application/octet-stream;q=0.1", "", "application/octet-stream"),
        ("image/*", "?view=png", "image/png"),
    ],
)
def test_accept_header_chooses_the_form(
    preparer: httpx.Client, accept: str, query: str, content_type: str
) -> None:
    answer = preparer.post(PATH + query, content=PHOTO, headers=RAW | {"accept": accept})
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("accept", "query"),
    [("image/png", ""), ("text/html", ""), ("application/json", "?view=png"), ("*/*;q=0", "")],
)
def test_other_forms_are_not_acceptable(preparer: httpx.Client, accept: str, query: str) -> None:
    answer = preparer.post(PATH + query, content=PHOTO, headers=RAW | {"accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("query", "content", "headers", "refusal_"),
    [
        ("", b"no image", RAW, (415, "unsupported_image")),
        ("", PHOTO[:100], RAW, (422, "invalid_image")),
        ("", b"", RAW, (422, "invalid_image")),
        ("", PHOTO, {"content-type": "text/plain"}, (415, "unsupported_media_type")),
        ("?model=nope", PHOTO, RAW, (404, "model_not_found")),
        ("?version=7", PHOTO, RAW, (404, "model_not_found")),
        ("?view=jpeg", PHOTO, RAW, (422, "invalid_parameter")),
        ("?data=hex", PHOTO, RAW, (422, "invalid_parameter")),
        ("?top_k=1", PHOTO, RAW, (422, "invalid_parameter")),
        ("", b'{"image": "?"}', {"content-type": "application/json"}, (422, "invalid_parameter")),
    ],
)
def test_bad_requests_are_problems(
    preparer: httpx.Client,
    query: str,
    content: bytes,
    headers: dict[str, str],
    refusal_: tuple[int, str],
) -> None:
    answer = preparer.post(PATH + query, content=content, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == refusal_


def test_scope_and_permitted_models_are_those_of_the_account(server: LiveServer) -> None:
    with server.client("classify infer models:read") as client:
        answer = client.post(PATH, content=PHOTO, headers=RAW)
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    device = add_device(server, scopes=["preprocess"], models=["others"])
    answer = httpx.post(
        f"{server.url}{PATH}?model=colours",
        content=PHOTO,
        headers=RAW | {"authorization": f"Bearer {device.sign_in()['access_token']}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "model_forbidden")


def test_items_are_counted(preparer: httpx.Client, server: LiveServer) -> None:
    def prepared() -> float:
        text = httpx.get(f"{server.url}/metrics").text
        name = 'potoo_preprocess_items_total{kind="image",result="prepared"} '
        return float(text.partition(name)[2].partition("\n")[0])

    before = prepared()
    preparer.post(PATH, content=PHOTO, headers=RAW).raise_for_status()
    assert prepared() == before + 1


# gRPC


@pytest.fixture(scope="module")
def rpc(server: LiveServer) -> Iterator[Client]:
    with connected(server, "preprocess") as client:
        yield client


def test_grpc_gives_the_same_tensor(rpc: Client, expected: NDArray[np.float32]) -> None:
    answer = rpc.ask("Image", pb.PrepareImageRequest(image_data=PHOTO, model="colours"))
    assert (answer.model_name, answer.model_version) == ("colours", 1)
    assert (answer.layout, answer.colour, answer.png) == ("NCHW", "RGB", b"")
    tensor = answer.tensor
    assert (tensor.name, tensor.datatype) == ("image", "FP32")
    found = np.frombuffer(tensor.data, "<f4").reshape(tensor.shape)
    assert np.array_equal(found, expected)


def test_grpc_gives_the_same_picture(rpc: Client, preparer: httpx.Client) -> None:
    view = pb.PrepareImageRequest.PNG
    answer = rpc.ask("Image", pb.PrepareImageRequest(image_data=PHOTO, view=view))
    assert answer.png == preparer.post(f"{PATH}?view=png", content=PHOTO, headers=RAW).content
    assert not answer.HasField("tensor")


@pytest.mark.parametrize(
    ("request_", "expected_"),
    [
        (pb.PrepareImageRequest(), ("INVALID_ARGUMENT", "invalid_image")),
        (pb.PrepareImageRequest(image_data=b"x"), ("INVALID_ARGUMENT", "unsupported_image")),
        (pb.PrepareImageRequest(image_data=PHOTO, model="no"), ("NOT_FOUND", "model_not_found")),
        (
            pb.PrepareImageRequest(image_data=PHOTO, view=9),  # type: ignore[arg-type]
            ("INVALID_ARGUMENT", "invalid_parameter"),
        ),
    ],
)
def test_grpc_refuses_bad_images(
    rpc: Client, request_: pb.PrepareImageRequest, expected_: tuple[str, str]
) -> None:
    assert refusal(lambda: rpc.ask("Image", request_)) == expected_


def test_grpc_items_are_answered_in_order_with_their_errors(rpc: Client) -> None:
    image = pb.PrepareImageRequest(image_data=plain())
    requests = [
        pb.PrepareItemRequest(id="a", image=image),
        pb.PrepareItemRequest(id="b", image=pb.PrepareImageRequest(image_data=b"no image")),
        pb.PrepareItemRequest(id="c"),
        pb.PrepareItemRequest(id="d", image=image),
    ]
    answers = list(rpc.stream("Items", requests))
    assert [answer.id for answer in answers] == ["a", "b", "c", "d"]
    results = [answer.WhichOneof("result") for answer in answers]
    assert results == ["image", "error", "error", "image"]
    codes = [answer.error.code for answer in answers]
    assert codes == ["", "unsupported_image", "invalid_parameter", ""]
    assert answers[0].image.tensor == answers[3].image.tensor


def test_grpc_item_that_is_no_message_does_not_end_the_stream(rpc: Client) -> None:
    item = pb.PrepareItemRequest(id="a", image=pb.PrepareImageRequest(image_data=plain()))
    answers = list(rpc.stream("Items", [b"\xff", item]))
    assert [answer.error.code for answer in answers] == ["invalid_request", ""]
