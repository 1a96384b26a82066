"""The security log: a line and a count per event; events that anyone can cause are only counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from observability.logs.audit import FREQUENT, Audit, AuditEvent, AuditFile
from observability.logs.logging import configure_logging
from observability.metrics.metrics import Metrics
from observability.settings import ObservabilitySettings
from schemas.operator_error import OperatorError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def audit(metrics: Metrics) -> Audit:
    return Audit(metrics)


def lines(captured: pytest.CaptureFixture[str], record: Callable[[], None]) -> list[dict[str, Any]]:
    """Events logged by ``record``."""
    configure_logging(ObservabilitySettings(log_format="json"))
    record()
    out, err = captured.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.split("\n")[:-1]]


def count(metrics: Metrics, event: AuditEvent) -> float | None:
    return metrics.registry.get_sample_value("potoo_audit_events_total", {"event": event})


@pytest.mark.parametrize("event", sorted(set(AuditEvent) - FREQUENT))
def test_audit_event_is_logged_and_counted_once(
    event: AuditEvent, audit: Audit, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"account": "anna", "address": "192.0.2.1", "session": None, "scopes": ["classify"]}
    (line,) = lines(capsys, lambda: audit.record(event, **facts))
    assert line.pop("timestamp")
    assert line == {"level": "info", "logger": "audit", "event": event.value, **facts}
    assert count(metrics, event) == 1


@pytest.mark.parametrize("event", sorted(FREQUENT))
def test_frequent_events_are_counted_but_not_logged(
    event: AuditEvent, audit: Audit, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    def often() -> None:
        for _ in range(100):
            audit.record(event)

    assert lines(capsys, often) == []
    assert count(metrics, event) == 100


def test_every_counter_exists_before_the_first_event(audit: Audit, metrics: Metrics) -> None:
    assert {count(metrics, event) for event in AuditEvent} == {0}
    audit.record(AuditEvent.RATE_LIMITED)
    assert {event for event in AuditEvent if count(metrics, event)} == {AuditEvent.RATE_LIMITED}


@pytest.mark.parametrize("name", ["two\nlines", '"}{"', "\x1b[31m", "\ud800", "\u2028", "n" * 1000])
def test_account_name_cannot_forge_a_log_line(
    name: str, audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    def twice() -> None:
        audit.record(AuditEvent.SIGN_IN, account=name)
        audit.record(AuditEvent.SESSION_ENDED, account=name)

    written = [line["event"] for line in lines(capsys, twice)]
    assert written == ["sign_in", "session_ended"]


def test_account_names_create_no_series(audit: Audit, metrics: Metrics) -> None:
    def series() -> int:
        return sum(len(list(family.samples)) for family in metrics.registry.collect())

    before = series()
    for number in range(50):
        audit.record(AuditEvent.RATE_LIMITED, account=f"name {number}")
        audit.record(AuditEvent.TOKEN_REFUSED, address=f"192.0.2.{number}")
    assert series() == before


def test_event_names_are_unique_lower_case_words() -> None:
    names = [event.value for event in AuditEvent]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalpha() and name == name.lower() for name in names)


def test_a_file_takes_the_same_lines(metrics: Metrics, tmp_path: Path) -> None:
    audit = Audit(metrics, AuditFile(tmp_path / "audit.log"))
    audit.record(AuditEvent.MODEL_ADDED, account="cli:anna", path=tmp_path)
    audit.record(AuditEvent.RATE_LIMITED)
    audit.record(AuditEvent.MODEL_REMOVED, account="cli:anna")
    first, second = map(json.loads, (tmp_path / "audit.log").read_text().splitlines())
    assert list(first) == ["timestamp", "level", "logger", "event", "account", "path"]
    assert (first["logger"], first["event"], first["path"]) == (
        *("audit", "model_added", str(tmp_path)),
    )
    assert second["event"] == "model_removed"
    assert (tmp_path / "audit.log").stat().st_mode & 0o007 == 0


def test_a_file_that_cannot_be_written_is_named(metrics: Metrics, tmp_path: Path) -> None:
    audit = Audit(metrics, AuditFile(tmp_path / "gone/audit.log"))
    with pytest.raises(OperatorError, match="model_added: done, but not recorded in "):
        audit.record(AuditEvent.MODEL_ADDED, account="cli:anna")
