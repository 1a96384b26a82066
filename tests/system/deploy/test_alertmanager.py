"""A real Alertmanager with the prepared configuration: one cause is told once, to everybody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.deploy.rules import RULES
from tests.support.repository import ROOT
from tests.support.results.receiver import Receiver, receiving
from tests.support.servers.databases import free_port, missing
from tests.support.waiting import wait_until
from tools.prepare import main
from tools.prometheus.running import moved, running

pytestmark = pytest.mark.slow


def prepared(folder: Path, receiver: Receiver) -> Path:
    """The configuration as ``make prepare`` writes it, with shorter waits."""
    options = ["--alerts", f"webhook:{receiver.url}/202", "--heartbeat", f"{receiver.url}/299"]
    main(["--site", "cam.example.org", "--folder", str(folder), *options])
    file = folder / "secrets/alertmanager/alertmanager.yml"
    made = folder / "alertmanager.yml"
    made.write_text(re.sub(r"(group_\w+|repeat_interval): \w+", r"\1: 1s", file.read_text()))
    return made


@contextmanager
def alertmanager(folder: Path, file: Path) -> Iterator[str]:
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        missing("alertmanager")
    assert program
    address = f"127.0.0.1:{free_port()}"
    with (folder / "alertmanager.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(program, f"--config.file={file}", f"--storage.path={folder / 'kept'}"),
                *(f"--web.listen-address={address}", "--cluster.listen-address="),
            ],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://{address}"
            assert wait_until(lambda: is_ready(url)), (folder / "alertmanager.log").read_text()
            yield url
        finally:
            process.terminate()
            process.wait(30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False


def fire(url: str, *alerts: dict[str, str]) -> None:
    now = datetime.now(UTC)
    body = [
        {
            "labels": {"job": "potoo", **labels},
            "annotations": {"runbook_url": f"docs/runbooks/{labels['alertname']}.md"},
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(minutes=5)).isoformat(),
        }
        for labels in alerts
    ]
    httpx.post(f"{url}/api/v2/alerts", json=body).raise_for_status()


def told(receiver: Receiver, path: str = "/202") -> list[dict[str, Any]]:
    """The alerts of all messages, in order."""
    bodies = [json.loads(one.body) for one in receiver.requests if one.path == path]
    return [alert for body in bodies for alert in body["alerts"]]


def names(receiver: Receiver) -> set[str]:
    return {alert["labels"]["alertname"] for alert in told(receiver)}


def test_one_cause_is_told_once_and_names_its_page(tmp_path: Path) -> None:
    with receiving() as receiver:
        file = prepared(tmp_path, receiver)
        with alertmanager(tmp_path, file) as url:
            down = {"alertname": "PotooDown", "severity": "page"}
            fire(url, down)
            assert wait_until(lambda: names(receiver) == {"PotooDown"})
            page = told(receiver)[0]
            assert page["annotations"]["runbook_url"] == "docs/runbooks/PotooDown.md"
            fire(
                url,
                down,
                {"alertname": "PotooModelNotReady", "severity": "page"},
                {"alertname": "PotooReplicaDown", "severity": "ticket"},
                {"alertname": "PotooCameraSilent", "severity": "ticket", "job": "elsewhere"},
                {"alertname": "Anything", "severity": "none"},
            )
            assert wait_until(lambda: "PotooCameraSilent" in names(receiver))
            assert names(receiver) == {"PotooDown", "PotooCameraSilent"}


def test_heartbeat_goes_from_the_rules_to_the_outside(tmp_path: Path) -> None:
    if shutil.which("prometheus") is None:
        missing("prometheus")
    rules = tmp_path / "rules"
    shutil.copytree(RULES, rules)
    with receiving() as receiver, alertmanager(tmp_path, prepared(tmp_path, receiver)) as url:
        port = free_port()
        config = moved(rules, {"prometheus": [f"127.0.0.1:{port}"]}, "1s")
        target = {"targets": [url.removeprefix("http://")]}
        config["alerting"] = {"alertmanagers": [{"static_configs": [target]}]}
        with running(tmp_path, port, config):
            assert wait_until(lambda: told(receiver, "/299"))
        assert {one["labels"]["alertname"] for one in told(receiver, "/299")} == {"Watchdog"}


def test_shipped_prometheus_asks_for_alertmanager_by_name() -> None:
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (found,) = shipped["alerting"]["alertmanagers"]
    assert found["dns_sd_configs"] == [{"names": ["alertmanager"], "type": "A", "port": 9093}]
