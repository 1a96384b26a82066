"""Metrics over several worker processes: files that they share, one set for each place.

prometheus-client names the files by process id, so every worker that is replaced would leave its
files behind for ever. By place a new worker goes on counting where the dead one stopped.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import ProcessCollector, values
from prometheus_client.values import MultiProcessValue

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client finds the folder."""

RESTARTS = "potoo_worker_restarts"
RESTARTS_HELP = "Worker processes that died and were replaced."
START_TIME = "process_start_time_seconds"
_SUPERVISOR = "supervisor"


def count_as(place: int) -> None:
    """Has this process count for a worker's place. Before any metric is made."""
    # What is set here is what prometheus-client makes values with.
    values.ValueClass = MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def forget_gauges(place: int) -> None:
    """Drops a dead worker's gauges, which would be summed for ever; its counters stay."""
    for file in Path(os.environ[MULTIPROCESS_FOLDER]).glob(f"gauge_live*_{place}.db"):
        file.unlink(missing_ok=True)


class SupervisorMetrics:
    """What the supervisor counts; workers show it with theirs."""

    def __init__(self) -> None:
        make = MultiProcessValue(lambda: _SUPERVISOR)  # type: ignore[no-untyped-call]
        self._restarts = make("counter", RESTARTS, f"{RESTARTS}_total", (), (), RESTARTS_HELP)
        for family in ProcessCollector(registry=None).collect():  # none where there is no /proc
            if family.name == START_TIME:
                # The supervisor's: the same whoever is asked, until all of them start anew.
                names, text = (START_TIME, START_TIME), family.documentation
                began = make("gauge", *names, (), (), text, multiprocess_mode="max")
                began.set(family.samples[0].value)

    def count_restart(self) -> None:
        """One more."""
        self._restarts.inc(1)
