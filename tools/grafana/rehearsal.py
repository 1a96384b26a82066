"""Two minutes of load for the pictures: two replicas, a peak, a model swap, password guessing.

Real servers and a real Prometheus with the shipped rules run on this machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
import httpx

from benchmarks.streams.websocket_load import stream
from benchmarks.support import photo, subject
from schemas.pb import potoo_pb2
from service.calibrate.load import Target, open_loop
from tools.prometheus.running import FOLDER as PROMETHEUS
from tools.prometheus.running import moved, running

PASSWORD = "a password for pictures"  # noqa: S105 - of servers that run for two minutes
MODEL = "everyday"
COURSE = ((25, 8), (25, 16), (20, 80), (25, 16), (20, 8))
"""Phases: seconds, and photos a second for each replica."""
STREAM_SECONDS, FRAMES = 15, 10
"""Duration of a stream, and its frames a second."""
INTERVAL = "2s"


class Recorded(Protocol):
    """The queries of the pictures; implemented by ``Prometheus``."""

    def value_at(self, query: str, at: float) -> list[dict[str, Any]]:
        """Return the series of a query at a time."""

    def course(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the labels of each series, and its points (time, value)."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A recording: Prometheus, start and end, and display names of the replicas by address."""

    prometheus: Recorded
    start: float
    end: float
    names: dict[str, str]


@contextmanager
def rehearsed(folder: Path) -> Iterator[Rehearsed]:
    """Run the rehearsal, then yield it with Prometheus still running."""
    os.environ["POTOO_ADMIN_PASSWORD"] = PASSWORD
    models = folder / "models"
    shutil.copytree(subject.ROOT / "models", models)
    with ExitStack() as stack:
        replicas = [stack.enter_context(_replica(folder, models)) for _ in range(2)]
        own = _free_port()
        addresses = {
            "potoo": [server.url.removeprefix("http://") for server, _ in replicas],
            "prometheus": [f"127.0.0.1:{own}"],
        }
        config = moved(PROMETHEUS / "rules", addresses, INTERVAL)
        prometheus = stack.enter_context(running(folder, own, config))
        start = time.time()
        _live(replicas, models)
        names = {address: f"replica {n}" for n, address in enumerate(addresses["potoo"], 1)}
        yield Rehearsed(prometheus, start, time.time(), names)


@contextmanager
def _replica(folder: Path, models: Path) -> Iterator[tuple[subject.Subject, int]]:
    """Run a server; yield it and its port for gRPC."""
    port = _free_port()
    config = folder / f"{port}.toml"
    config.write_text(f"grpc_port = {port}\n[inference]\ndefault_timeout_ms = 1000\n")
    with subject.running(models, "--config", str(config)) as server:
        yield server, port


def _live(replicas: list[tuple[subject.Subject, int]], models: Path) -> None:
    """Run photos, other callers and model changes concurrently."""
    enough = threading.Event()
    calling = [
        *(threading.Thread(target=_photos, args=(server,)) for server, _ in replicas),
        *(threading.Thread(target=_oddities, args=(*one, enough)) for one in replicas),
        *(threading.Thread(target=_frames, args=(server, enough)) for server, _ in replicas),
    ]
    swap = threading.Timer(40, _publish, (models, 2))
    broken = threading.Timer(55, _publish, (models, 3, b"no model"))
    for thread in (*calling, swap, broken):
        thread.start()
    for thread in calling[: len(replicas)]:
        thread.join()
    enough.set()
    for thread in (*calling, swap, broken):
        thread.join()


def _photos(server: subject.Subject) -> None:
    target = Target.post(server.endpoint, photo.jpeg(), "image/jpeg", server.token)
    for seconds, rate in COURSE:
        asyncio.run(open_loop(target, rate, seconds))


def _frames(server: subject.Subject, enough: threading.Event) -> None:
    """Stream frames of a camera, which connects again from time to time."""
    while not enough.is_set():
        stream(server, "latest", STREAM_SECONDS, rate=FRAMES)


def _oddities(server: subject.Subject, port: int, enough: threading.Event) -> None:
    """Run the other callers: gRPC, sign-ins, wrong passwords, broken images, missing tokens."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    predict: Any = channel.unary_unary("/potoo.v1.ModelService/Predict")
    message = potoo_pb2.PredictRequest(image_data=photo.jpeg()).SerializeToString()
    bearer = {"authorization": f"Bearer {server.token}"}
    with channel, httpx.Client(base_url=server.url, timeout=30) as client:
        while not enough.wait(0.25):
            with suppress(grpc.RpcError):  # under peak load
                predict(message, metadata=tuple(bearer.items()), timeout=2)
            client.post("/v1/classify", content=b"no image", headers=bearer)
            client.post("/v1/classify", content=photo.jpeg())
            _sign_in(client, "admin", PASSWORD)
            _sign_in(client, "guessed", "wrong")


def _sign_in(client: httpx.Client, name: str, password: str) -> None:
    form = {"grant_type": "password", "username": name, "password": password}
    tokens = client.post("/v1/auth/token", data=form)
    if tokens.is_success:
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}
        client.post("/v1/auth/token", data=refresh)


def _publish(models: Path, version: int, model: bytes | None = None) -> None:
    """Publish a copy of the first version, or a broken one, atomically as ``potoo`` does."""
    made = models / f".{version}"
    shutil.copytree(models / MODEL / "1", made)
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
    if model is not None:
        (made / "model.onnx").write_bytes(model)
    made.rename(models / MODEL / str(version))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
