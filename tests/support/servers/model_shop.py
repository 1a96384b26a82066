"""A server on a changeable repository, and concurrent callers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from service.core.repository.publishing import drafting
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve

ALL = "classify models:read models:write"
POLL = "0.1"
TIMEOUT_MS = "50000"
"""A time-out below that of the clients.

With the default of ten seconds, one slow item on a busy machine makes the server expect that the
next ones are late, and refuse them.
"""


def labels_of(version: int) -> list[str]:
    return [f"{colour} {version}" for colour in ("red", "green", "blue")]


def publish(models: Path, spare: Path, version: int, **changes: object) -> None:
    """Add a version atomically, with labels that contain its number."""
    members = {"version": version, "labels": labels_of(version), **changes}
    with drafting(models, "colours", version) as draft:
        shutil.copytree(write_model(spare, None, **members), draft.folder, dirs_exist_ok=True)
        if changes.get("sha256"):  # our tools would not publish that
            shutil.copytree(draft.folder, models / "colours" / str(version))
        else:
            draft.publish()


def add_beside(models: Path, spare: Path, name: str = "other") -> None:
    """Publish another model as our tools do."""
    with drafting(models, name) as draft:
        shutil.copytree(write_model(spare, None, name=name), draft.folder, dirs_exist_ok=True)
        draft.publish()


class Shop:
    """A server on a repository that tests change."""

    def __init__(self, server: LiveServer, models: Path, spare: Path) -> None:
        self.server, self.models, self.spare = server, models, spare
        self.client = server.client(ALL)

    def publish(self, version: int, **changes: object) -> None:
        publish(self.models, self.spare, version, **changes)

    def ask(self, **query: int | str) -> int:
        """The version that answers; its labels must match."""
        answer = self.client.post("/v1/classify", params=query, content=plain(RED), headers=PNG)
        body = answer.raise_for_status().json()
        version: int = body["model"]["version"]
        assert body["predictions"][0]["label"] == f"red {version}"
        return version

    def post(self, path: str, **query: str) -> httpx.Response:
        return self.client.post(f"/v1/models/{path}", params=query)

    def put(self, path: str) -> httpx.Response:
        return self.client.put(f"/v1/models/{path}")

    def versions(self) -> dict[int, dict[str, Any]]:
        shown = self.client.get("/v1/models/colours").raise_for_status().json()
        return {version["version"]: version for version in shown["versions"]}

    def states(self) -> dict[int, str]:
        return {number: version["state"] for number, version in self.versions().items()}


PNG = {"content-type": "image/png"}


@contextmanager
def opened(folder: Path, *arguments: str, **environment: str) -> Iterator[Shop]:
    models, spare = folder / "models", folder / "spare"
    publish(models, spare, 1)
    with branch(folder, models, *arguments, **environment) as live:
        shop = Shop(live, models, spare)
        with shop.client:
            yield shop


@contextmanager
def branch(folder: Path, models: Path, *arguments: str, **environment: str) -> Iterator[LiveServer]:
    """A server with its own accounts on a repository that other servers may share."""
    folder.mkdir(exist_ok=True)
    environment = {
        "POTOO_MODELS_POLL_SECONDS": POLL,
        "POTOO_INFERENCE__DEFAULT_TIMEOUT_MS": TIMEOUT_MS,
    } | environment
    with serve(folder, models=models, arguments=arguments, **environment) as live:
        yield live


def unnamed(server: LiveServer, token: str | None = None) -> str:
    """The model that answers a call without a model name, or the error code.

    Uses a new connection, so that any worker may answer.
    """
    answer = httpx.post(
        f"{server.url}/v1/classify",
        content=plain(RED),
        headers=PNG | {"authorization": f"Bearer {token or server.token(ALL)}"},
    )
    body = answer.json()
    return str(body["model"]["name"] if answer.is_success else body["detail"])


class Crowd:
    """Clients that send requests without a pause until they are stopped."""

    def __init__(self, server: LiveServer, size: int = 4) -> None:
        self.versions: list[int] = []
        self.faults: list[str] = []
        self._over = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def saw(self, version: int) -> bool:
        return version in self.versions[-8:]

    def _ask(self) -> None:
        many = [("files", plain(RED))] * 3
        with self._server.client(ALL) as client:
            while not self._over.is_set():
                try:
                    one = client.post("/v1/classify", content=plain(RED), headers=PNG)
                    batch = client.post("/v1/classify/batch", files=many)
                except httpx.TransportError as error:
                    self.faults.append(repr(error))
                    continue
                for answer in (one, batch):
                    if answer.status_code != 200:
                        self.faults.append(answer.text)
                        continue
                    body = answer.json()
                    version = body["model"]["version"]
                    items = body.get("results", [{"result": body}])
                    if any(
                        item["result"]["predictions"][0]["label"] != f"red {version}"
                        for item in items
                    ):
                        self.faults.append(answer.text)
                    self.versions.append(version)
