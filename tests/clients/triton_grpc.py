"""tritonclient over gRPC, synchronous and asyncio: every call that Potoo supports."""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import numpy as np
import tritonclient.grpc as sync_grpc
import tritonclient.grpc.aio as aio_grpc
from tritonclient.utils import InferenceServerException

GIVEN = json.loads(sys.stdin.read())
MODEL, HEADERS = GIVEN["model"], {"authorization": f"Bearer {GIVEN['token']}"}
ARRAY = np.random.default_rng(0).random(GIVEN["shape"], np.float32)
FILES = np.array([bytes.fromhex(one) for one in GIVEN["files"]], np.object_)


async def result(call: Any) -> Any:
    """The same for both clients."""
    return await call if inspect.isawaitable(call) else call


async def told(call: Callable[[], Any]) -> tuple[str | None, str]:
    """Status and message of a refused call."""
    try:
        await result(call())
    except InferenceServerException as error:
        return error.status(), str(error.message())
    return "OK", ""


def tensor(array: Any, datatype: str, name: str = "image") -> Any:
    given = sync_grpc.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


async def every_form(client: Any) -> list[dict[str, Any]]:
    """Call with and without outputs and versions, compressed or not."""
    found = []
    for outputs in (None, [sync_grpc.InferRequestedOutput("logits")]):
        for packed in (None, "gzip", "deflate"):
            for version in ("", "1"):
                call = client.infer(
                    MODEL,
                    [tensor(ARRAY, "FP32")],
                    model_version=version,
                    outputs=outputs,
                    request_id="é 7",
                    headers=HEADERS,
                    compression_algorithm=packed,
                )
                answer = await result(call)
                response = answer.get_response()
                found.append(
                    {
                        "output": answer.as_numpy("logits").tolist(),
                        "id": response.id,
                        "model": [response.model_name, response.model_version],
                    }
                )
    return found


async def classes(client: Any) -> list[list[str]]:
    outputs = [sync_grpc.InferRequestedOutput("logits", class_count=2)]
    call = client.infer(MODEL, [tensor(FILES, "BYTES")], outputs=outputs, headers=HEADERS)
    rows = (await result(call)).as_numpy("logits").tolist()
    return [[one.decode() for one in row] for row in rows]


async def refusals(client: Any) -> dict[str, Any]:
    good = tensor(ARRAY, "FP32")

    def infer(model: str = MODEL, *, given: Any = good, **more: Any) -> Callable[[], Any]:
        return partial(client.infer, model, [given], **({"headers": HEADERS} | more))

    text = tensor(np.array([b"text"], np.object_), "BYTES")
    return {
        "unknown model": await told(infer("nope")),
        "unknown version": await told(infer(model_version="9")),
        "unknown input": await told(infer(given=tensor(ARRAY, "FP32", "pixels"))),
        "another shape": await told(infer(given=tensor(ARRAY[:, :, 1:], "FP32"))),
        "no image": await told(infer(given=text)),
        "no token": await told(infer(headers={})),
        "too late": await told(infer(timeout=1)),
        "past its deadline": await told(infer(client_timeout=0.0001)),
        "a sequence": await told(infer(sequence_id=5)),
        "load": await told(partial(client.load_model, MODEL, headers=HEADERS, config="{}")),
        "metadata": await told(partial(client.get_model_metadata, "nope", headers=HEADERS)),
        "shared memory": await told(
            partial(client.get_system_shared_memory_status, headers=HEADERS)
        ),
    }


async def everything(client: Any) -> dict[str, Any]:
    as_json = {"headers": HEADERS, "as_json": True}
    images = await result(client.infer(MODEL, [tensor(FILES, "BYTES")], headers=HEADERS))
    more = {"priority": 1, "timeout": 20_000_000, "parameters": {"mine": "x"}}
    first = await result(client.infer(MODEL, [tensor(ARRAY, "FP32")], headers=HEADERS, **more))
    return {
        "live": await result(client.is_server_live()),
        "ready": await result(client.is_server_ready()),
        "model ready": await result(client.is_model_ready(MODEL, headers=HEADERS)),
        "version ready": await result(client.is_model_ready(MODEL, "1", headers=HEADERS)),
        "other ready": await result(client.is_model_ready("nope", headers=HEADERS)),
        "server": await result(client.get_server_metadata(**as_json)),
        "metadata": await result(client.get_model_metadata(MODEL, **as_json)),
        "config": await result(client.get_model_config(MODEL, **as_json)),
        "index": await result(client.get_model_repository_index(**as_json)),
        "statistics": await result(client.get_inference_statistics(MODEL, **as_json)),
        "all statistics": await result(client.get_inference_statistics(**as_json)),
        "forms": await every_form(client),
        "classes": await classes(client),
        "images": images.as_numpy("logits").tolist(),
        "with parameters": first.as_numpy("logits").tolist(),
        "refusals": await refusals(client),
    }


def streamed(client: Any) -> list[list[str]]:
    """Ids or error messages of the responses of a stream with a bad request."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(
        callback=lambda result, error: answers.put((result, error)), headers=HEADERS
    )
    for number in range(4):
        given = tensor(ARRAY, "FP32", "pixels" if number == 1 else "image")
        client.async_stream_infer(MODEL, [given], request_id=str(number))
    found = []
    for _ in range(4):
        ok, error = answers.get(timeout=30)
        found.append(["error", error.message()] if error else ["ok", ok.get_response().id])
    client.stop_stream()
    return found


def at_once(client: Any) -> list[Any]:
    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(8):
        client.async_infer(
            MODEL,
            [tensor(ARRAY, "FP32")],
            callback=lambda result, error: answers.put((result, error)),
            headers=HEADERS,
        )
    found = [answers.get(timeout=30) for _ in range(8)]
    return [str(error) if error else ok.as_numpy("logits").tolist() for ok, error in found]


async def streamed_by_aio(client: Any) -> list[list[str]]:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(4):
            given = tensor(ARRAY, "FP32", "pixels" if number == 1 else "image")
            yield {"model_name": MODEL, "inputs": [given], "request_id": str(number)}

    found = []
    async for ok, error in client.stream_infer(requests(), headers=HEADERS):
        found.append(["error", error.message()] if error else ["ok", ok.get_response().id])
    return found


async def main() -> dict[str, Any]:
    with sync_grpc.InferenceServerClient(GIVEN["address"]) as client:
        found = {"sync": await everything(client)}
        found["sync"]["at once"] = at_once(client)
        found["sync"]["stream"] = streamed(client)
    async with aio_grpc.InferenceServerClient(GIVEN["address"]) as aio:
        found["aio"] = await everything(aio)
        found["aio"]["stream"] = await streamed_by_aio(aio)
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main())))
