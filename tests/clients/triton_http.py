"""tritonclient over HTTP, synchronous and asyncio: every call that Potoo supports."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.http as sync_http
import tritonclient.http.aio as aio_http
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
    return "200", ""


def tensor(http: Any, array: Any, datatype: str, *, binary: bool) -> Any:
    given = http.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def headers() -> dict[str, str]:
    """A new one for every call, since the client modifies it."""
    return dict(HEADERS)


async def every_form(http: Any, client: Any) -> list[dict[str, Any]]:
    """Call with binary or JSON, compressed or not, with and without outputs and versions."""
    found = []
    for binary_in, wanted, packed, answer_packed, version in itertools.product(
        (True, False),
        (None, True, False),
        (None, "gzip", "deflate"),
        (None, "gzip", "deflate"),
        ("", "1"),
    ):
        outputs = (
            None if wanted is None else [http.InferRequestedOutput("logits", binary_data=wanted)]
        )
        answer = await result(
            client.infer(
                MODEL,
                [tensor(http, ARRAY, "FP32", binary=binary_in)],
                model_version=version,
                outputs=outputs,
                request_id="é 7",
                headers=headers(),
                request_compression_algorithm=packed,
                response_compression_algorithm=answer_packed,
            )
        )
        document = answer.get_response()
        found.append(
            {
                "output": answer.as_numpy("logits").tolist(),
                "id": document["id"],
                "model": [document["model_name"], document["model_version"]],
            }
        )
    return found


async def long_answers(http: Any, client: Any) -> list[dict[str, Any]]:
    """Responses large enough to be compressed."""
    red = np.zeros((64, *ARRAY.shape[1:]), np.float32)
    red[:, 0] = 1
    found = []
    for packed, binary in itertools.product(("gzip", "deflate"), (True, False)):
        answer = await result(
            client.infer(
                MODEL,
                [tensor(http, red, "FP32", binary=True)],
                outputs=[http.InferRequestedOutput("logits", binary_data=binary, class_count=3)],
                headers=headers(),
                response_compression_algorithm=packed,
            )
        )
        output = answer.as_numpy("logits")
        first = output[0][0]
        found.append(
            {
                "shape": list(output.shape),
                "first": first.decode() if binary else first,
            }
        )
    return found


async def classes(http: Any, client: Any) -> list[Any]:
    found = []
    for binary in (True, False):
        output = http.InferRequestedOutput("logits", binary_data=binary, class_count=2)
        given = tensor(http, FILES, "BYTES", binary=True)
        answer = await result(client.infer(MODEL, [given], outputs=[output], headers=headers()))
        rows = answer.as_numpy("logits").tolist()
        found.append([[one.decode() if binary else one for one in row] for row in rows])
    return found


async def refusals(http: Any, client: Any) -> dict[str, Any]:
    good = tensor(http, ARRAY, "FP32", binary=True)

    def infer(model: str = MODEL, *, given: Any = good, **more: Any) -> Callable[[], Any]:
        return lambda: client.infer(model, [given], **{"headers": headers()} | more)

    unknown = http.InferInput("pixels", list(ARRAY.shape), "FP32")
    unknown.set_data_from_numpy(ARRAY)
    cut = tensor(http, ARRAY[:, :, 1:], "FP32", binary=True)
    text = tensor(http, np.array([b"text"], np.object_), "BYTES", binary=True)
    not_finite = tensor(http, np.full_like(ARRAY, np.nan), "FP32", binary=False)
    as_json = [http.InferRequestedOutput("logits", binary_data=False)]
    packed = {"Accept-Encoding": "gzip"}
    return {
        "unknown model": await told(infer("nope")),
        "unknown version": await told(infer(model_version="9")),
        "unknown input": await told(infer(given=unknown)),
        "another shape": await told(infer(given=cut)),
        "no image": await told(infer(given=text, headers=headers() | packed)),
        "not finite": await told(infer(given=not_finite, outputs=as_json)),
        "no token": await told(infer(headers={})),
        "too late": await told(infer(timeout=1)),
        "a sequence": await told(infer(sequence_id=5)),
        "load": await told(lambda: client.load_model(MODEL, headers=headers(), config="{}")),
        "metadata": await told(lambda: client.get_model_metadata("nope", headers=headers())),
    }


async def everything(http: Any, client: Any) -> dict[str, Any]:
    images = await result(
        client.infer(MODEL, [tensor(http, FILES, "BYTES", binary=True)], headers=headers())
    )
    nan = await result(
        client.infer(
            MODEL,
            [tensor(http, np.full_like(ARRAY, np.nan), "FP32", binary=False)],
            headers=headers(),
            priority=1,
            timeout=20_000_000,
            parameters={"mine": "x"},
        )
    )
    return {
        "live": await result(client.is_server_live()),
        "ready": await result(client.is_server_ready()),
        "model ready": await result(client.is_model_ready(MODEL, headers=headers())),
        "version ready": await result(client.is_model_ready(MODEL, "1", headers=headers())),
        "other ready": await result(client.is_model_ready("nope", headers=headers())),
        "server": await result(client.get_server_metadata(headers=headers())),
        "metadata": await result(client.get_model_metadata(MODEL, headers=headers())),
        "config": await result(client.get_model_config(MODEL, headers=headers())),
        "index": await result(client.get_model_repository_index(headers=headers())),
        "statistics": await result(client.get_inference_statistics(MODEL, headers=headers())),
        "all statistics": await result(client.get_inference_statistics(headers=headers())),
        "forms": await every_form(http, client),
        "long": await long_answers(http, client),
        "classes": await classes(http, client),
        "images": images.as_numpy("logits").tolist(),
        "nan": bool(np.isnan(nan.as_numpy("logits")).all()),
        "refusals": await refusals(http, client),
    }


async def main() -> dict[str, Any]:
    with sync_http.InferenceServerClient(GIVEN["address"]) as client:
        found = {"sync": await everything(sync_http, client)}
        calls = [
            client.async_infer(
                MODEL, [tensor(sync_http, ARRAY, "FP32", binary=True)], headers=headers()
            )
            for _ in range(8)
        ]
        found["sync"]["at once"] = [one.get_result().as_numpy("logits").tolist() for one in calls]
    async with aio_http.InferenceServerClient(GIVEN["address"]) as aio:
        found["aio"] = await everything(aio_http, aio)
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main())))
