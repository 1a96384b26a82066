"""Kill servers, devices and brokers at random moments, and count what is stored."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.sensors.device import Plan, loudest
from tests.support.sensors.tiny_series import LABELS, LENGTH
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

LATEST_SECONDS = 0.4
"""A process is killed so long at most after it made progress."""
END_SECONDS = 90


class Victim(Protocol):
    """A process that is killed and started again."""

    def start(self) -> None:
        """Start it; it need not be ready."""

    def kill(self) -> None:
        """Kill it by SIGKILL, and wait for its end."""


@dataclass
class ModuleProcess:
    """A Python module as a process."""

    arguments: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=clean_environment(),
            )

    def kill(self) -> None:
        """Kill it; see ``Victim``."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class DeviceProcess(ModuleProcess):
    """A device; its folder holds its queue."""

    folder: Path = field(kw_only=True)

    @classmethod
    def of(cls, plan: Plan, folder: Path) -> DeviceProcess:
        """Prepare a device; do not start it."""
        folder.mkdir()
        plan.write(folder)
        arguments = ["tests.support.sensors.device", str(folder)]
        return cls(arguments, folder / "device.log", folder=folder)

    def finish(self) -> int:
        """Let it send the rest; return the number of samples that it has numbered."""
        (self.folder / "stop").touch()
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        log = self.log.read_text()
        assert self.process.poll() == 0, f"the device did not finish:\n{log}"
        return int((self.folder / "total").read_text())


@dataclass
class PotooProcess:
    """A real server on the same ports in each of its lives."""

    folder: Path
    models: Path
    settings: dict[str, str]
    live: LiveServer | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.live = self._stack.enter_context(
            serve(self.folder, models=self.models, arguments=(), **self.settings)
        )

    def kill(self) -> None:
        """Kill it; see ``Victim``."""
        if self.live is not None:
            self.live.process.kill()
            self.live.process.wait()
        self._stack.close()

    def stop(self) -> None:
        """Stop it by SIGTERM."""
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Stored:
    """Reads what a server has stored, while it runs or after.

    Attributes:
        query: selects sensor, epoch and first sequence.
    """

    database: Path
    query: str

    def windows(self) -> list[tuple[str, int, int]]:
        """All windows: sensor, epoch, first sequence."""
        with self._opened() as store:
            return store.execute(self.query).fetchall()

    def count(self) -> int:
        """Number of windows; 0 while there is no store."""
        with suppress(sqlite3.OperationalError), self._opened() as store:
            (number,) = store.execute(f"select count(*) from ({self.query})").fetchone()  # noqa: S608
            return int(number)
        return 0

    def _opened(self) -> closing[sqlite3.Connection]:
        """Connect; close on exit.

        A connection is part of a reference cycle, and ``with`` it alone only ends a transaction:
        hundreds would stay open until a garbage collection.
        """
        return closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True))


def kill_again_and_again(
    victim: Victim, times: int, stored: Sequence[Stored], dice: random.Random
) -> None:
    """Kill a process at random moments after windows were stored, and start it again.

    Args:
        stored: each of them has grown before each kill.
    """
    for number in range(times):
        before = [one.count() for one in stored]
        assert wait_until(partial(_have_grown, stored, before)), f"no progress before kill {number}"
        time.sleep(dice.uniform(0, LATEST_SECONDS))
        victim.kill()
        victim.start()


def _have_grown(stored: Sequence[Stored], before: Sequence[int]) -> bool:
    return all(one.count() > count for one, count in zip(stored, before, strict=True))


def check_windows(found: list[tuple[str, int, int]], totals: dict[str, int], length: int) -> None:
    """Assert that each complete window of each sensor is stored once, and no other one."""
    assert len({epoch for _, epoch, _ in found}) == len(totals), "a device began another epoch"
    keys = [(sensor, first) for sensor, _, first in found]
    expected = {
        (name, first) for name, total in totals.items() for first in range(0, total, length)
    }
    lost, surplus = expected - set(keys), set(keys) - expected
    assert (len(lost), len(keys) - len(set(keys)), len(surplus)) == (0, 0, 0), (
        f"lost {sorted(lost)[:5]}, doubled {len(keys) - len(set(keys))}, others {sorted(surplus)[:5]}"
    )


def check_labels(database: Path, sensor: str, total: int) -> None:
    """Assert that each window has the label of the samples that the device made."""
    query = "select first_sequence, answer from sensor_results where sensor = ?"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        rows = store.execute(query, (sensor,)).fetchall()
    assert {first: json.loads(answer)["label"] for first, answer in rows} == {
        first: LABELS[loudest(first // LENGTH, len(LABELS))] for first in range(0, total, LENGTH)
    }


def new_dice(seed: int | None = None) -> random.Random:
    """Return dice; their seed is printed, so that a failed run can be repeated."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed of the kills: {seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)  # noqa: S311 - no secret


@contextmanager
def ending(*victims: Victim) -> Iterator[None]:
    """Kill the processes at the end."""
    try:
        yield
    finally:
        for victim in victims:
            victim.kill()
