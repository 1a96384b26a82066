"""Metrics of several worker processes: shared files, one set per worker slot.

prometheus-client names the files by process id, so every replaced worker would leave its files
behind. With files named by slot, a new worker continues the counts of the dead one.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import ProcessCollector, values
from prometheus_client.values import MultiProcessValue

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable from which prometheus-client takes the folder."""

RESTARTS = "potoo_worker_restarts"
RESTARTS_HELP = "Worker processes that died and were replaced."
START_TIME = "process_start_time_seconds"
_SUPERVISOR = "supervisor"


def count_as(place: int) -> None:
    """Count this process under a worker's slot. Call before any metric is created."""
    # prometheus-client creates its values with this class.
    values.ValueClass = MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def forget_gauges(place: int) -> None:
    """Delete a dead worker's gauges, which would be summed for ever; its counters stay."""
    for file in Path(os.environ[MULTIPROCESS_FOLDER]).glob(f"gauge_live*_{place}.db"):
        file.unlink(missing_ok=True)


class SupervisorMetrics:
    """Metrics of the supervisor; workers expose them with theirs."""

    def __init__(self) -> None:
        make = MultiProcessValue(lambda: _SUPERVISOR)  # type: ignore[no-untyped-call]
        self._restarts = make("counter", RESTARTS, f"{RESTARTS}_total", (), (), RESTARTS_HELP)
        for family in ProcessCollector(registry=None).collect():  # empty without /proc
            if family.name == START_TIME:
                # The supervisor's start time, so that every worker reports the same.
                names, text = (START_TIME, START_TIME), family.documentation
                began = make("gauge", *names, (), (), text, multiprocess_mode="max")
                began.set(family.samples[0].value)

    def count_restart(self) -> None:
        """Count one worker restart."""
        self._restarts.inc(1)
