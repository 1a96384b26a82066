"""What the autoscaler is told, by Prometheus itself: how many replicas each trigger asks for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from deploy.thresholds.document import read_thresholds
from deploy.thresholds.queries import triggers
from tests.databases import missing

THRESHOLDS = read_thresholds(Path(__file__).parents[2] / "deploy/autoscaling.yaml")
MODEL = f'model="{THRESHOLDS.model}"'
TARGET = THRESHOLDS.triggers.in_flight.target
SLOW = 4 * THRESHOLDS.triggers.queue_wait.threshold_seconds
QUESTIONS = {trigger.name: trigger for trigger in triggers(THRESHOLDS, "potoo")}
SCRAPES = 60
"""Five minutes of them."""
BOUNDS = ("0.001", "0.016", "0.064", "0.25", "1", "+Inf")

Series = dict[str, str]


def steady(value: float) -> str:
    return f"{value:g}+0x{SCRAPES}"


def growing(by: float) -> str:
    return f"0+{by:g}x{SCRAPES}"


def pod(name: str, held: int, *, is_ready: bool = True, namespace: str = "potoo") -> Series:
    """A replica that holds so many images all the time."""
    labels = f'namespace="{namespace}",pod="{name}",{MODEL}'
    return {
        f"potoo_queue_depth{{{labels}}}": steady(held),
        f"potoo_model_ready{{{labels}}}": steady(is_ready),
    }


def stages(wait: float, work: float, images: int = 10) -> Series:
    """So many images a scrape, each of which waits and is worked on for so many seconds."""
    labels = f'namespace="potoo",pod="a",{MODEL}'
    series = {
        f'potoo_stage_duration_seconds_bucket{{{labels},stage="queue",le="{bound}"}}': growing(
            images if wait <= float(bound) else 0
        )
        for bound in BOUNDS
    }
    for stage, seconds in (("queue", wait), ("inference", work)):
        name = f'potoo_stage_duration_seconds_sum{{{labels},stage="{stage}"}}'
        series[name] = growing(seconds * images)
    return series


def refusals(reason: str) -> Series:
    return {f'potoo_rejections_total{{namespace="potoo",pod="a",reason="{reason}"}}': growing(1)}


class Case(NamedTuple):
    """``told``: answer / target is a number of replicas; None is no answer. Others may be anything."""

    name: str
    series: Series
    told: dict[str, float | None]


TWO = pod("a", 0) | pod("b", 0)
BUSY = pod("a", TARGET - 1) | pod("b", 0)
NOTHING: dict[str, float | None] = dict.fromkeys(QUESTIONS, 0)
CASES = (
    Case("nobody asks", TWO | stages(0, 0, images=0), NOTHING),
    Case("work adds up", pod("a", TARGET) | pod("b", 2 * TARGET), {"in-flight": 3 * TARGET}),
    Case("staging is another's", TWO | pod("a", 99 * TARGET, namespace="staging"), NOTHING),
    Case("long waits ask for a step", TWO | stages(SLOW, 100), {"queue-wait": 2.5}),
    Case("longer ones for no more", TWO | stages(0.9, 100), {"queue-wait": 2.5}),
    Case("waiting long asks for a step", TWO | stages(0.01, 0.001), {"queue-ratio": 2.5}),
    Case("half as long for half as many", TWO | stages(0.0005, 0.001), {"queue-ratio": 1}),
    Case(
        "one that is starting does not count",
        TWO | pod("c", 0, is_ready=False) | stages(0.01, 0.001),
        {"queue-ratio": 2.5},
    ),
    Case("refusals ask for a step", BUSY | refusals("queue_full"), {"rejections": 2.5}),
    Case("one caller's haste for nothing", TWO | refusals("would_be_late"), NOTHING),
    Case("clients' own faults for nothing", BUSY | refusals("slow_client"), {"rejections": 0}),
    Case(
        "blind is no answer",
        pod("a", TARGET, namespace="staging"),
        dict.fromkeys(QUESTIONS, None),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_trigger_asks_for_so_many_replicas(case: Case, tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        missing("promtool")
    test = {
        "interval": "5s",
        "input_series": [
            {"series": series, "values": values} for series, values in case.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": QUESTIONS[name].query,
                "eval_time": "4m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for name, value in case.told.items()
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "5s", "tests": [test]}))
    result = subprocess.run(
        [str(program), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
