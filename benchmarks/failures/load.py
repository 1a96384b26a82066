"""Open-loop load over TLS: pictures over HTTP and gRPC, and sign-ins. Every answer is looked at.

The clients send nothing a second time, so whatever goes wrong behind the balancer and is not mended
there is counted. Each picture has its own right answer: one client's is never taken for another's.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np

from schemas.pb import open_inference_pb2 as pb
from schemas.pb import potoo_pb2
from tests.server import PASSWORD

DEADLINE_SECONDS = 10.0
HTTP, GRPC, SIGN_IN = "HTTP", "gRPC", "sign-in"
NO_RETRIES = (("grpc.enable_retries", 0),)
METADATA = "/inference.GRPCInferenceService/ModelMetadata"
PREDICT, INFER = "/potoo.v1.ModelService/Predict", "/inference.GRPCInferenceService/ModelInfer"
Ask = Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second."""

    http: float = 15
    grpc: float = 15
    sign_in: float = 0.5


@dataclass(slots=True)
class Tally:
    """What became of the requests of one protocol. Times in seconds, since they were due."""

    requests: int = 0
    slowest: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """How many a client noticed."""
        return self.failures.total()


class Wrong(Exception):
    """The answer is not the right one; the message is its kind."""


@dataclass(frozen=True)
class Target:
    """Where to: the balancer, or a replica. ``authority``: to be trusted."""

    url: str
    grpc: str
    authority: Path
    token: str


class Load:
    """Requests at given rates from ``start`` to ``stop``."""

    def __init__(self, target: Target, pictures: list[bytes], model: str) -> None:
        self._target, self._pictures, self._model = target, pictures, model
        self._right: dict[tuple[str, bytes], object] = {}
        self.tallies = {name: Tally() for name in (HTTP, GRPC, SIGN_IN)}

    @asynccontextmanager
    async def running(self, rates: Rates) -> Any:
        """Sends while the block runs, and then waits for the last answers."""
        target = self._target
        context = ssl.create_default_context(cafile=str(target.authority))
        secrets = grpc.ssl_channel_credentials(target.authority.read_bytes())
        async with (
            httpx.AsyncClient(base_url=target.url, verify=context, timeout=DEADLINE_SECONDS) as http,
            grpc.aio.secure_channel(target.grpc, secrets, NO_RETRIES) as channel,
        ):
            asks = self._asks(http, channel, await self._input(channel))
            await self._learn(asks)
            stop = asyncio.Event()
            streams = [
                asyncio.create_task(self._stream(name, ask, rate, stop))
                for (name, ask), rate in zip(
                    asks.items(), (rates.http, rates.grpc / 2, rates.grpc / 2, rates.sign_in),
                    strict=True,
                )
                if rate
            ]
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*streams)

    async def _input(self, channel: grpc.aio.Channel) -> str:
        """What the model calls the images."""
        request = pb.ModelMetadataRequest(name=self._model)
        answer = await _called(channel.unary_unary(METADATA), request, self._target.token)
        return str(pb.ModelMetadataResponse.FromString(answer).inputs[0].name)

    def _asks(
        self, http: httpx.AsyncClient, channel: grpc.aio.Channel, images: str
    ) -> dict[str, Ask]:
        predict, infer = channel.unary_unary(PREDICT), channel.unary_unary(INFER)
        token = self._target.token

        async def classify(picture: bytes) -> object:
            headers = {"authorization": f"Bearer {token}", "content-type": "image/jpeg"}
            answer = await http.post("/v1/classify", content=picture, headers=headers)
            return _checked(answer)["predictions"][0]["label"]

        async def call(picture: bytes) -> object:
            request = potoo_pb2.PredictRequest(image_data=picture, model=self._model)
            answer = await _called(predict, request, token)
            return potoo_pb2.PredictResponse.FromString(answer).class_names[0]

        async def tensor(picture: bytes) -> object:
            request = pb.ModelInferRequest(model_name=self._model)
            one = request.inputs.add(name=images, datatype="BYTES", shape=[1])
            one.contents.bytes_contents.append(picture)
            answer = pb.ModelInferResponse.FromString(await _called(infer, request, token))
            return int(np.frombuffer(answer.raw_output_contents[0], np.float32).argmax())

        async def sign_in(_: bytes) -> object:
            form = {"grant_type": "password", "username": "admin", "password": PASSWORD}
            return bool(_checked(await http.post("/v1/auth/token", data=form))["access_token"])

        return {HTTP: classify, f"{GRPC} Predict": call, f"{GRPC} ModelInfer": tensor, SIGN_IN: sign_in}

    async def _learn(self, asks: dict[str, Ask]) -> None:
        """The right answers, and warm caches."""
        for name, ask in asks.items():
            for picture in self._pictures:
                self._right[name, picture] = await ask(picture)
            if name != SIGN_IN:
                assert len({self._right[name, one] for one in self._pictures}) > 1, self._right

    async def _stream(self, name: str, ask: Ask, rate: float, stop: asyncio.Event) -> None:
        began, sent = time.monotonic(), set[asyncio.Task[None]]()
        pictures: Iterator[bytes] = itertools.cycle(self._pictures)
        for number in itertools.count():
            due = began + number / rate
            try:
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await stop.wait()
            except TimeoutError:
                sent.add(asyncio.create_task(self._one(name, ask, next(pictures), due)))
            else:
                break
        await asyncio.gather(*sent)

    async def _one(self, name: str, ask: Ask, picture: bytes, due: float) -> None:
        tally = self.tallies[name.split()[0]]
        tally.requests += 1
        try:
            if await ask(picture) != self._right[name, picture]:
                tally.failures["a wrong answer"] += 1
        except Wrong as error:
            tally.failures[str(error)] += 1
        except grpc.aio.AioRpcError as error:
            tally.failures[error.code().name] += 1
        except httpx.TransportError as error:
            tally.failures[type(error).__name__] += 1
        tally.slowest = max(tally.slowest, time.monotonic() - due)


def _checked(answer: httpx.Response) -> Any:
    if not answer.is_success:
        try:
            code = answer.json().get("code", answer.json().get("error"))
        except ValueError:
            code = "no JSON"
        raise Wrong(f"{answer.status_code} {code}")
    return answer.json()


async def _called(method: Any, request: Any, token: str) -> bytes:
    answer: bytes = await method(
        request.SerializeToString(),
        metadata=(("authorization", f"Bearer {token}"),),
        timeout=DEADLINE_SECONDS,
    )
    return answer
