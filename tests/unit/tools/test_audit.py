"""Evaluation of pip-audit's report: vulnerabilities, none, or unknown packages."""

from __future__ import annotations

import json

import pytest

from tools.audit import HOLES, UNKNOWN, verdict

SOUND = {"name": "h11", "version": "0.16.0", "vulns": []}
HOLED = {
    "name": "h11",
    "version": "0.14.0",
    "vulns": [{"id": "CVE-2025-43859", "fix_versions": ["0.16.0"], "aliases": []}],
}
UNHEALED = {"name": "ecdsa", "version": "0.19.2", "vulns": [{"id": "X-1", "fix_versions": []}]}
SKIPPED = {"name": "h11", "skip_reason": "Dependency not found on PyPI: h11 (0.16.0)"}


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_report_without_vulnerabilities_passes() -> None:
    assert verdict(report(SOUND, SOUND), "") == (0, ["2 packages, no known holes"])


def test_vulnerabilities_are_named_with_their_fixes() -> None:
    status, lines = verdict(report(SOUND, HOLED, UNHEALED, SKIPPED), "")
    assert status == HOLES
    assert lines == [
        "2 known holes:",
        "h11 0.14.0: CVE-2025-43859 (fixed in 0.16.0)",
        "ecdsa 0.19.2: X-1 (fixed in no version yet)",
    ]


def test_packages_unknown_to_the_database_are_reported() -> None:
    status, (line,) = verdict(report(SOUND, SKIPPED), "")
    assert status == UNKNOWN
    assert line.startswith("1 of 2 packages could not be looked up: ")


@pytest.mark.parametrize("text", ["", "Traceback", "{}"])
def test_failed_lookup_is_reported_as_unknown(text: str) -> None:
    status, (line,) = verdict(text, "Traceback\nConnectionError: no such host\n")
    assert status == UNKNOWN
    assert line.endswith("nothing is known: ConnectionError: no such host")
