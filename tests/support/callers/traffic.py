"""Mixed traffic of valid and invalid calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
import httpx

from schemas.pb import potoo_pb2
from tests.support.callers.oauth_client import App
from tests.support.callers.raw_http import PATIENCE
from tests.support.callers.rpc import SCOPES, Client, tensor
from tests.support.callers.tensors import images
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer

PAUSE_SECONDS = 1.0
"""Between two rounds: signing in takes much of a core, which the servers need too."""


@dataclass(frozen=True)
class Callers:
    """Callers of ``server``, which serves gRPC with the certificate ``trusted``."""

    server: LiveServer
    trusted: bytes

    def once(self) -> None:
        """Make each kind of call once."""
        self._pictures()
        self._sign_ins()
        self._rpcs()

    @contextmanager
    def all_the_time(self) -> Iterator[None]:
        """Repeat all calls in the background until the block ends."""
        enough = threading.Event()
        faults: list[Exception] = []

        def call() -> None:
            try:
                while not enough.wait(PAUSE_SECONDS):
                    self.once()
            except Exception as fault:  # noqa: BLE001 - raised below, where it is seen
                faults.append(fault)

        calling = threading.Thread(target=call)
        calling.start()
        try:
            yield
        finally:
            enough.set()
            calling.join()
        if faults:
            raise faults[0]

    def _pictures(self) -> None:
        files = {"file": plain()}
        with self.server.client("classify infer models:read") as client:
            client.post("/v1/classify", files=files).raise_for_status()
            client.post("/v1/classify/batch", files=[("files", plain())] * 2).raise_for_status()
            assert client.post("/v1/classify", files={"file": b"no image"}).is_client_error
            assert client.get("/v1/models/unknown").status_code == 404
        with self.server.client("models:read") as client:
            assert client.post("/v1/classify", files=files).status_code == 403
        for headers in ({}, {"authorization": "Bearer forged"}):
            url = f"{self.server.url}/v1/classify"
            refused = httpx.post(url, files=files, headers=headers, timeout=PATIENCE)
            assert refused.status_code == 401

    def _sign_ins(self) -> None:
        app = App(self.server.url)
        tokens = app.sign_in().raise_for_status().json()
        app.refresh(tokens["refresh_token"])
        app.revoke(tokens["refresh_token"])
        assert not App(self.server.url, "nobody", "wrong").sign_in().is_success

    def _rpcs(self) -> None:
        options = [("grpc.ssl_target_name_override", "localhost")]
        secrets = grpc.ssl_channel_credentials(self.trusted)
        with grpc.secure_channel(self.server.grpc, secrets, options) as channel:
            client = Client(channel, self.server.token(SCOPES))
            client.ask("ModelInfer", tensor(images(1)))
            client.ask("Predict", potoo_pb2.PredictRequest(image_data=plain()))
            with suppress(grpc.RpcError):
                client.ask("Predict", b"no message")
