"""Every alert has a runbook, and everything that the runbook refers to exists."""

from __future__ import annotations

import re

import pytest
import typer

from service.cli import app as command_line
from tests.support.deploy.rules import ALERTS, RUNBOOKS
from tests.support.repository import ROOT

PAGES = sorted(RUNBOOKS.glob("*.md"))
COMMAND = re.compile(r"(?:^|`|-- |potoo )potoo ([a-z]+)(?:\s([a-z-]+))?", re.MULTILINE)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_severity_summary_description_and_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


def test_runbook_pages_match_the_alerts() -> None:
    assert {page.stem for page in PAGES} == {*ALERTS, "README"}


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_page_has_the_standard_sections_and_index_entry(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    assert headings == [name, "Diagnosis", "Actions", "Resolved when"]
    assert ALERTS[name]["annotations"]["summary"] in page
    assert "**Meaning.**" in page
    assert "**User impact.**" in page
    severity = ALERTS[name]["labels"]["severity"]
    assert f"| [{name}]({name}.md) | {severity} |" in (RUNBOOKS / "README.md").read_text()


def test_monitoring_guide_links_every_alert() -> None:
    guide = (ROOT / "docs/operating/monitoring.md").read_text()
    linked = set(re.findall(r"\(\.\./runbooks/(\w+)\.md\)", guide))
    assert linked - {"README"} == set(ALERTS)


def test_runbook_commands_exist() -> None:
    known = {name: set(getattr(verb, "commands", ())) for name, verb in verbs().items()}
    asked = [
        (page.name, verb, noun)
        for page in PAGES
        for verb, noun in COMMAND.findall(page.read_text())
    ]
    assert len(asked) > 10
    for page, verb, noun in asked:
        assert verb in known, (page, verb)
        assert not known[verb] or noun in known[verb], (page, verb, noun)


def verbs() -> dict[str, object]:
    """The verbs of ``potoo``."""
    found: dict[str, object] = getattr(typer.main.get_command(command_line), "commands")  # noqa: B009 - Typer hides the type
    return found
