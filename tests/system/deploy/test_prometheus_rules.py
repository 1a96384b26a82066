"""The shipped rules, tested by promtool: they are valid and fire only when they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.deploy.rules import ALERTS, PROMETHEUS, RULES, rules
from tests.support.servers.databases import missing

pytestmark = pytest.mark.slow

CASES = sorted((PROMETHEUS / "tests").glob("*.yaml"))
FIRING = re.compile(r'ALERTS\{alertname="(\w+)",alertstate="firing",(.*)\}')


def promtool(*arguments: object) -> str:
    """Run promtool; return its output, or fail if it found a fault."""
    program = shutil.which("promtool")
    if program is None:
        missing("promtool")
    command = [str(program), *map(str, arguments)]
    environment = {**os.environ, "GOGC": "400", "GOMAXPROCS": "1"}  # a fifth less CPU
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing() -> dict[str, list[set[str]]]:
    """The names of an alert's labels, for each expected firing in a case."""
    found: dict[str, list[set[str]]] = {}
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for question in case["promql_expr_test"]:
                for sample in question.get("exp_samples", ()):
                    if match := FIRING.fullmatch(sample["labels"]):
                        labels = set(re.findall(r"(\w+)=", match[2]))
                        found.setdefault(match[1], []).append(labels)
    return found


def test_configuration_and_rules_are_valid() -> None:
    said = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert "3 rule files found" in said
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yaml")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rules_behave_as_the_cases_expect(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


def test_every_alert_fires_in_some_case() -> None:
    assert set(firing()) == set(ALERTS)


def test_alert_descriptions_use_existing_labels() -> None:
    for name, times in firing().items():
        used = set(re.findall(r"\$labels\.(\w+)", ALERTS[name]["annotations"]["description"]))
        # A missing label would be an empty word in the notification.
        assert all(used <= labels for labels in times), name


def test_case_thresholds_record_the_same_series() -> None:
    ours = [rule["record"] for rule in rules(RULES / "thresholds.yaml")]
    fixed = PROMETHEUS / "tests" / "thresholds" / "fixed.yaml"
    assert [rule["record"] for rule in rules(fixed)] == ours
