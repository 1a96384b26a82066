"""gRPC load: ``Predict`` of one photo over one connection, in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import grpc

from benchmarks.support import photo
from benchmarks.support.subject import ROOT
from schemas.pb import potoo_pb2 as pb

METHOD = "/potoo.v1.ModelService/Predict"


def post(target: str, token: str, *, clients: int, seconds: float) -> int:
    """Call as fast as answers come; return the number of answers."""
    command = [sys.executable, "-m", "benchmarks.event_loop.grpc_load"]
    command += [target, token, str(clients), str(seconds)]
    return int(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)


async def _call(target: str, token: str, clients: int, seconds: float) -> int:
    message = pb.PredictRequest(image_data=photo.jpeg()).SerializeToString()
    metadata = (("authorization", f"Bearer {token}"),)
    answers, ends_at = 0, time.monotonic() + seconds

    async def client() -> None:
        nonlocal answers
        while time.monotonic() < ends_at:
            await predict(message, metadata=metadata)
            answers += 1

    async with grpc.aio.insecure_channel(target) as channel:
        predict: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        await asyncio.gather(*(client() for _ in range(clients)))
    return answers


if __name__ == "__main__":
    found = asyncio.run(_call(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
    print(found)
