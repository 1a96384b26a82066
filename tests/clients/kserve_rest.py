"""KServe's REST client: every call that Potoo supports."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

GIVEN = json.loads(sys.stdin.read())
MODEL, URL = GIVEN["model"], GIVEN["url"]
ARRAY = np.random.default_rng(0).random(GIVEN["shape"], np.float32)


def headers() -> dict[str, str]:
    return {"authorization": f"Bearer {GIVEN['token']}"}


def request(*, binary: bool, wanted: bool | None = None, **members: Any) -> InferRequest:
    given = InferInput("image", list(ARRAY.shape), "FP32")
    given.set_data_from_numpy(ARRAY, binary_data=binary)
    if wanted is not None:
        members["request_outputs"] = [RequestedOutput("logits", {"binary_data": wanted})]
    return InferRequest(MODEL, [given], **members)


async def told(call: Any) -> str:
    try:
        await call
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


async def main() -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    found: dict[str, Any] = {
        "live": await client.is_server_live(URL),
        "ready": await client.is_server_ready(URL),
        "model ready": await client.is_model_ready(URL, MODEL, headers=headers()),
        "other ready": await client.is_model_ready(URL, "nope", headers=headers()),
        "outputs": [],
    }
    for binary in (True, False):
        for wanted in (None, True, False):
            asked = request(binary=binary, wanted=wanted, request_id="mine")
            answer = await client.infer(URL, asked, MODEL, headers=headers())
            found["outputs"].append(answer.outputs[0].as_numpy().tolist())
            found["id"] = answer.id
    asked = request(binary=False)
    found["unknown"] = await told(client.infer(URL, asked, "nope", headers=headers()))
    found["no token"] = await told(client.infer(URL, request(binary=True), MODEL))
    await client.close()
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main())))
