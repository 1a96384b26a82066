"""Clients over TLS without retries: pictures by HTTP and gRPC, and sign-ins."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np
from google.protobuf.message import Message

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.support.servers.server import PASSWORD

DEADLINE_SECONDS = 10.0
NO_RETRIES = (("grpc.enable_retries", 0),)
INFERENCE = "/inference.GRPCInferenceService"
HTTP, PREDICT, INFER, SIGN_IN = "HTTP", "gRPC Predict", "gRPC ModelInfer", "sign-in"
Ask = Callable[[bytes], Awaitable[object]]
"""Client call: sends a picture and returns one value of the answer, for comparison."""
Method: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"


class Refused(Exception):
    """The server answered with an error; the message names it."""


@dataclass(frozen=True)
class Target:
    """Addresses of the balancer, its certificate authority, the caller's token and the model."""

    url: str
    grpc: str
    authority: Path
    token: str
    model: str


@asynccontextmanager
async def asking(target: Target) -> AsyncIterator[dict[str, Ask]]:
    """Open the clients; yield their calls by name."""
    context = ssl.create_default_context(cafile=str(target.authority))
    secrets = grpc.ssl_channel_credentials(target.authority.read_bytes())
    async with (
        httpx.AsyncClient(base_url=target.url, verify=context, timeout=DEADLINE_SECONDS) as http,
        grpc.aio.secure_channel(target.grpc, secrets, NO_RETRIES) as channel,
    ):
        yield {**_over_http(http, target), **await _over_grpc(channel, target)}


def _over_http(http: httpx.AsyncClient, target: Target) -> dict[str, Ask]:
    async def classify(picture: bytes) -> object:
        headers = {"authorization": f"Bearer {target.token}", "content-type": "image/jpeg"}
        answer = await http.post("/v1/classify", content=picture, headers=headers)
        return _checked(answer)["predictions"][0]["label"]

    async def sign_in(_: bytes) -> object:
        form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
        return bool(_checked(await http.post("/v1/auth/token", data=form))["access_token"])

    return {HTTP: classify, SIGN_IN: sign_in}


async def _over_grpc(channel: grpc.aio.Channel, target: Target) -> dict[str, Ask]:
    async def call(path: str, request: Message) -> bytes:
        method: Method = channel.unary_unary(path)
        token = ("authorization", f"Bearer {target.token}")
        data = request.SerializeToString()
        return await method(data, metadata=(token,), timeout=DEADLINE_SECONDS)

    async def predict(picture: bytes) -> object:
        request = potoo_pb2.PredictRequest(image_data=picture, model=target.model)
        answer = await call("/potoo.v1.ModelService/Predict", request)
        return potoo_pb2.PredictResponse.FromString(answer).class_names[0]

    described = await call(f"{INFERENCE}/ModelMetadata", pb.ModelMetadataRequest(name=target.model))
    images = pb.ModelMetadataResponse.FromString(described).inputs[0].name

    async def infer(picture: bytes) -> object:
        request = pb.ModelInferRequest(model_name=target.model)
        one = request.inputs.add(name=images, datatype="BYTES", shape=[1])
        one.contents.bytes_contents.append(picture)
        answer = pb.ModelInferResponse.FromString(await call(f"{INFERENCE}/ModelInfer", request))
        return int(np.frombuffer(answer.raw_output_contents[0], np.float32).argmax())

    return {PREDICT: predict, INFER: infer}


def _checked(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON is what it is
    try:
        body = answer.json()
    except ValueError:
        raise Refused(f"{answer.status_code} without JSON") from None
    if not answer.is_success:
        raise Refused(f"{answer.status_code} {body.get('code', body.get('error'))}")
    return body
