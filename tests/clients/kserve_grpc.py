"""KServe's gRPC client: every call that Potoo supports."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

GIVEN = json.loads(sys.stdin.read())
MODEL, METADATA = GIVEN["model"], [("authorization", f"Bearer {GIVEN['token']}")]
ARRAY = np.random.default_rng(0).random(GIVEN["shape"], np.float32)


def request(*, binary: bool, model: str = MODEL) -> InferRequest:
    given = InferInput("image", list(ARRAY.shape), "FP32")
    given.set_data_from_numpy(ARRAY, binary_data=binary)
    return InferRequest(model, [given], request_id="mine")


async def told(call: Any) -> list[str]:
    try:
        await call
    except grpc.RpcError as error:
        return [error.code().name, str(error.details())]
    return []


async def main() -> dict[str, Any]:
    client = InferenceGRPCClient(GIVEN["address"])
    found: dict[str, Any] = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model ready": await client.is_model_ready(MODEL, headers=METADATA),
        "other ready": await client.is_model_ready("nope", headers=METADATA),
        "outputs": [],
    }
    for binary in (True, False):
        answer = await client.infer(request(binary=binary), headers=METADATA)
        found["outputs"].append(answer.outputs[0].as_numpy().tolist())
        found["id"] = answer.id
    unknown = request(binary=True, model="nope")
    found["unknown"] = await told(client.infer(unknown, headers=METADATA))
    found["no token"] = await told(client.infer(request(binary=True)))
    await client.close()
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main())))
