"""The autoscaling queries in a real Prometheus: replicas requested per trigger."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.repository import ROOT
from tests.support.servers.databases import missing
from tools.thresholds.document import read_thresholds
from tools.thresholds.queries import triggers

pytestmark = pytest.mark.slow

THRESHOLDS = read_thresholds(ROOT / "deploy/autoscaling.yaml")
MODEL = f'model="{THRESHOLDS.model}"'
TARGET = THRESHOLDS.triggers.in_flight.target
QUESTIONS = {trigger.name: trigger for trigger in triggers(THRESHOLDS, "potoo")}
SCRAPES = 60
"""Samples of five minutes."""

Series = dict[str, str]


def steady(value: float) -> str:
    return f"{value:g}+0x{SCRAPES}"


def growing(by: float) -> str:
    return f"0+{by:g}x{SCRAPES}"


def pod(name: str, held: int, *, is_ready: bool = True, namespace: str = "potoo") -> Series:
    """A replica with a constant number of images in flight."""
    labels = f'namespace="{namespace}",pod="{name}",{MODEL}'
    return {
        f"potoo_queue_depth{{{labels}}}": steady(held),
        f"potoo_model_ready{{{labels}}}": steady(is_ready),
    }


def answers(a_second: float) -> Series:
    labels = f'namespace="potoo",pod="a",{MODEL},protocol="http"'
    return {f"potoo_predictions_total{{{labels}}}": growing(5 * a_second)}


def refusals(reason: str, a_second: float = 0.2) -> Series:
    labels = f'namespace="potoo",pod="a",reason="{reason}"'
    return {f"potoo_rejections_total{{{labels}}}": growing(5 * a_second)}


class Case(NamedTuple):
    """``told``: answer / target is the number of replicas; None if there is no answer."""

    name: str
    series: Series
    told: dict[str, float | None]


TWO = pod("a", 0) | pod("b", 0)
BUSY = pod("a", TARGET - 1) | pod("b", 0)
TWO = pod("a", 0) | pod("b", 0) | answers(0) | refusals("queue_full", 0)
BUSY = TWO | pod("a", TARGET - 1)
NOTHING: dict[str, float | None] = dict.fromkeys(QUESTIONS, 0)
CASES = (
    Case("nobody asks", TWO, NOTHING),
    Case("work adds up", pod("a", TARGET) | pod("b", 2 * TARGET), {"in-flight": 3 * TARGET}),
    Case("staging is another's", TWO | pod("a", 99 * TARGET, namespace="staging"), NOTHING),
    Case("what is answered was asked for", TWO | answers(300), {"demand": 300}),
    Case(
        "so was what a busy one refused",
        BUSY | answers(300) | refusals("queue_full", 500),
        {"demand": 800},
    ),
    Case(
        "not what an idle one did",
        TWO | answers(300) | refusals("would_be_late", 500),
        {"demand": 300, "rejections": 0},
    ),
    Case(
        "one that is starting does not count",
        BUSY | pod("c", 0, is_ready=False) | refusals("queue_full"),
        {"rejections": 2.5},
    ),
    Case("refusals ask for a step", BUSY | refusals("queue_full"), {"rejections": 2.5}),
    Case("one caller's haste for nothing", TWO | refusals("would_be_late"), NOTHING),
    Case(
        "clients' own faults for nothing",
        BUSY | refusals("slow_client"),
        {"rejections": 0, "demand": 0},
    ),
    Case(
        "blind is no answer",
        pod("a", TARGET, namespace="staging"),
        dict.fromkeys(QUESTIONS, None),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_trigger_asks_for_the_expected_replicas(case: Case, tmp_path: Path) -> None:
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
