"""KServe's REST client with its V1 protocol: every call that Potoo supports."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from kserve import InferenceRESTClient, RESTConfig

GIVEN = json.loads(sys.stdin.read())
MODEL, URL = GIVEN["model"], GIVEN["url"]


def headers() -> dict[str, str]:
    return {"authorization": f"Bearer {GIVEN['token']}"}


async def told(call: Any) -> str:
    try:
        await call
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


async def main() -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    found: dict[str, Any] = {
        "model ready": await client.is_model_ready(URL, MODEL, headers=headers()),
        "other ready": await told(client.is_model_ready(URL, "nope", headers=headers())),
    }
    for name, instances in GIVEN["asked"].items():
        asked = {"instances": instances}
        answer = await client.infer(URL, asked, MODEL, headers=headers())
        found[name] = answer["predictions"]
    asked = {"instances": [1]}
    found["unknown"] = await told(client.infer(URL, asked, "nope", headers=headers()))
    found["unfit"] = await told(client.infer(URL, asked, MODEL, headers=headers()))
    found["no token"] = await told(client.infer(URL, asked, MODEL))
    await client.close()
    return found


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main())))
