"""A device as a process: it sends a sequence that its queue remembers, until it is stopped.

``python -m tests.support.sensors.device FOLDER``, with ``device.json`` in the folder: the fields of
``Plan``. When the file ``stop`` is there, it ends the last window, waits until all is safe, and
writes ``total``: the number of samples.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.sensors import Backoff, SensorClient, Timing

QUICK = Timing(handshake=3, silence=2, answer=2, stall=0.5, quiet=0.2)


@dataclass(frozen=True, slots=True)
class Plan:
    """Samples that a device sends.

    Attributes:
        length: samples in a window, and its stride.
        rate: samples a second.
    """

    server: str
    name: str
    token: str
    channels: int
    length: int
    rate: float

    def write(self, folder: Path) -> None:
        """Write it for a process."""
        (folder / "device.json").write_text(json.dumps(asdict(self)))


WINDOWS_OF_A_STATE = 50
"""Each change of the state is an event in the store."""


def loudest(window: int, channels: int) -> int:
    """The channel that is the largest one in a window."""
    return window // WINDOWS_OF_A_STATE % channels


def samples(first: int, end: int, plan: Plan) -> NDArray[np.float32]:
    """The samples of a range of sequence numbers, shape [n, channels]."""
    numbers = np.arange(first, end)
    values = np.zeros((end - first, plan.channels), np.float32)
    largest = numbers // (plan.length * WINDOWS_OF_A_STATE) % plan.channels
    values[np.arange(end - first), largest] = 100.0
    return values


async def stream(plan: Plan, folder: Path) -> int:
    """Send until the file ``stop`` is there; return the number of samples."""
    part = max(1, round(plan.rate / 50))
    async with SensorClient(
        plan.server,
        plan.name,
        channels=plan.channels,
        queue=folder / "queue",
        token=plan.token,
        on_result=lambda _: None,
        backoff=Backoff(first=0.05, longest=0.5),
        timing=QUICK,
    ) as client:
        at = client.status.next_sequence
        while not (folder / "stop").exists():
            await client.send(samples(at, at + part, plan))
            at += part
            await asyncio.sleep(part / plan.rate)
        end = -(-at // plan.length) * plan.length
        if end > at:
            await client.send(samples(at, end, plan))
        await client.wait_safe(end)
    return end


def main(folder: Path) -> None:
    """Run a device."""
    plan = Plan(**json.loads((folder / "device.json").read_text()))
    total = asyncio.run(stream(plan, folder))
    (folder / "total").write_text(str(total))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
