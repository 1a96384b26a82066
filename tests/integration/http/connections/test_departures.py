"""Clients that disconnect early: their work is cancelled."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.callers.raw_http import Connection, get
from tests.support.models.hostile_files import black_png
from tests.support.models.pictures import plain
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

CROWD = 40
QUEUED = 0.8
SIDE = 3500
"""Pixels: slow to decode, but below the limit of the slow lane, which would hold only 8 pictures."""


def counted(server: LiveServer, metric: str) -> float:
    text = get(server.address, "/metrics").body.decode()
    return sum(map(float, re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def request(server: LiveServer, path: str, picture: bytes) -> bytes:
    token = server.token("classify infer")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: 0\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode() + picture


@pytest.mark.parametrize("path", ["/v1/classify", "/v2/models/colours/infer"])
@pytest.mark.parametrize(
    ("leave", "clients", "dropped"),
    # Clients that closed their sending half are checked after a second, so there must be more work.
    [(Connection.reset, CROWD, CROWD / 2), (Connection.close, 4 * CROWD, 4)],
    ids=["RST", "FIN"],
)
def test_disconnected_clients_requests_are_dropped(
    colours: Path,
    tmp_path: Path,
    path: str,
    leave: Callable[[Connection], None],
    clients: int,
    dropped: float,
) -> None:
    # One thread, and a small file that takes long to process.
    with serve(
        tmp_path,
        models=colours,
        POTOO_INFERENCE__WORKERS="1",
    ) as live:
        message = request(live, path, black_png(SIDE))
        with ExitStack() as stack:
            crowd = [stack.enter_context(Connection(live.address)) for _ in range(clients)]
            for one in crowd:
                one.send(message)
            assert wait_until(lambda: counted(live, "potoo_queue_depth") >= QUEUED * clients)
            for one in crowd:
                leave(one)
        assert wait_until(lambda: counted(live, "potoo_queue_depth") == 0)
        assert counted(live, "potoo_predictions_total") <= clients - dropped
        assert wait_until(lambda: live.events().count('"status":499') >= dropped)
        with live.client() as client:
            answer = client.post("/v1/classify", files={"file": plain()})
        assert answer.json()["predictions"][0]["label"] == "red"
        assert "this is a bug" not in live.events()
        assert '"level":"error"' not in live.events()
