"""Two minutes of a service's life for the pictures: two replicas, a rush, a swap, a guesser.

The servers are real, and so is Prometheus with the shipped rules; the machine is this one.
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

from benchmarks import photo, subject
from schemas.pb import potoo_pb2
from service.calibrate.load import Target, open_loop
from tools.prometheus.running import FOLDER as PROMETHEUS
from tools.prometheus.running import moved, running

PASSWORD = "a password for pictures"  # noqa: S105 - of servers that live two minutes
MODEL = "everyday"
COURSE = ((25, 8), (25, 16), (20, 80), (25, 16), (20, 8))
"""Seconds, and photos a second for each replica."""
INTERVAL = "2s"


class Recorded(Protocol):
    """What pictures ask: a ``Prometheus``."""

    def value_at(self, query: str, at: float) -> list[dict[str, Any]]:
        """The series that a query gave at some time."""

    def course(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Labels of its series, and points of time and value."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What was recorded, from when to when, and what the replicas are called in pictures."""

    prometheus: Recorded
    start: float
    end: float
    names: dict[str, str]


@contextmanager
def rehearsed(folder: Path) -> Iterator[Rehearsed]:
    """Runs it all, then lends the Prometheus that saw it."""
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
    """A server, and its port for gRPC."""
    port = _free_port()
    config = folder / f"{port}.toml"
    config.write_text(f"grpc_port = {port}\n[inference]\ndefault_timeout_ms = 1000\n")
    with subject.running(models, "--config", str(config)) as server:
        yield server, port


def _live(replicas: list[tuple[subject.Subject, int]], models: Path) -> None:
    """What happens, all at once: photos, odd callers, and models that come."""
    enough = threading.Event()
    calling = [
        *(threading.Thread(target=_photos, args=(server,)) for server, _ in replicas),
        *(threading.Thread(target=_oddities, args=(*one, enough)) for one in replicas),
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


def _oddities(server: subject.Subject, port: int, enough: threading.Event) -> None:
    """Everybody else: a camera over gRPC, people who sign in, a guesser, an app that is broken."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    predict: Any = channel.unary_unary("/potoo.v1.ModelService/Predict")
    message = potoo_pb2.PredictRequest(image_data=photo.jpeg()).SerializeToString()
    bearer = {"authorization": f"Bearer {server.token}"}
    with channel, httpx.Client(base_url=server.url, timeout=30) as client:
        while not enough.wait(0.25):
            with suppress(grpc.RpcError):  # in the rush
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
    """Another version like the first, or a broken one; in one move, as ``potoo`` does it."""
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
