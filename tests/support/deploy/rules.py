"""The shipped Prometheus rules as parsed YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules(path: Path) -> list[dict[str, Any]]:
    """All rules of a file, in all groups."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules(RULES / "alerts.yaml")}
