"""``make thresholds``: converts Prometheus' rule files to the operator's PrometheusRule.

A rule file and ``spec`` of a PrometheusRule have the same form, so the groups of all files are
concatenated.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tools.readable_yaml import readable_yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/rules"
OUTPUT = DEPLOY / "kubernetes/components/monitoring/prometheusrule.yaml"
HEADER = "# Made by `make thresholds` from deploy/prometheus/rules: change those, not this.\n"


class NoRules(Exception):
    """A file has no groups of rules; the message is one line for people."""


def prometheus_rule(folder: Path) -> str:
    """Build the manifest of all rule files in a folder, sorted by name.

    Raises:
        NoRules: a file has no groups of rules; the message names it.
    """
    groups: list[Any] = []
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        found = document.get("groups") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise NoRules(f"{path}: there are no groups of rules")
        groups += found
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        # kube-prometheus-stack selects only rules of its own release.
        "metadata": {"name": "potoo", "labels": {"release": "prometheus"}},
        "spec": {"groups": groups},
    }
    return HEADER + readable_yaml(manifest)


def main() -> int:
    """Write the manifest; return the exit status."""
    try:
        OUTPUT.write_text(prometheus_rule(RULES))
    except (yaml.YAMLError, NoRules) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
