from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from client.sensors import BlockingSensorClient, ClientClosed, QueueInUse
from tests.support.sensors.served import served
from tests.support.sensors.tcp.small_server import SmallServer


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server in a thread."""
    with served(SmallServer(tmp_path / "server.db")) as server:
        yield f"tcp://127.0.0.1:{server.port}"


def test_windows_are_answered_without_an_event_loop(url: str, tmp_path: Path) -> None:
    with BlockingSensorClient(url, "pump-3", channels=1, queue=tmp_path / "queue") as device:
        device.connected()
        assert device.send(np.zeros(350)) == range(350)
        device.wait_safe(300)
        answers = device.results()
        assert [next(answers).first_sequence for _ in range(3)] == [0, 100, 200]
        device.sent()
        assert device.status.next_sequence == 350
        assert device.close()
        assert list(answers) == []

    with pytest.raises(ClientClosed):
        device.send([1.0])


def test_a_queue_that_cannot_be_opened_ends_the_thread(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    with BlockingSensorClient(url, "pump-3", channels=1, queue=folder):
        before = threading.active_count()
        with pytest.raises(QueueInUse), BlockingSensorClient(url, "a", channels=1, queue=folder):
            pass
        assert threading.active_count() <= before
