"""The report of a stored run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from schemas.teach.verdict import Verdict
from service.teach.runs.records import StoredRun
from service.teach.runs.report.page import Report


def report_of(run: StoredRun, pictures: Mapping[str, bytes] | None = None) -> Report:
    """Return the report of a run that has a verdict."""
    base = f"{run.base.name} {run.base.version}"
    version = run.progress.version
    changed = datetime.fromtimestamp(run.changed, UTC)
    facts = [
        ("Dataset", run.dataset),
        ("Base", f"{base}, features {run.base.tensor}" if run.base.tensor else base),
        ("State", str(run.state)),
        ("When", f"{changed:%Y-%m-%d %H:%M} UTC"),
    ]
    if run.skipped:
        facts.append(("Photos left out", str(len(run.skipped))))
    return Report(
        title=run.options.model if version is None else f"{run.options.model} {version}",
        verdict=Verdict.model_validate_json(run.verdict or ""),
        facts=tuple(facts),
        pictures=pictures or {},
    )
