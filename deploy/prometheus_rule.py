"""``python -m deploy.prometheus_rule``: Prometheus' rule files as the operator's PrometheusRule.

A rule file and ``spec`` of a PrometheusRule have the same form, so the groups of all files are put
one after the other.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent
RULES = DEPLOY / "prometheus/rules"
OUTPUT = DEPLOY / "kubernetes/components/monitoring/prometheusrule.yaml"
HEADER = "# Made by `make thresholds` from deploy/prometheus/rules: change those, not this.\n"


class _Dumper(yaml.SafeDumper):
    """Expressions keep their lines, and lists are indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)

    def represent_str(self, data: str) -> yaml.Node:
        node = super().represent_str(data)
        if "\n" in data:
            node.style = "|"
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


def prometheus_rule(folder: Path) -> str:
    """The manifest of all rule files in a folder, by name.

    Raises:
        ValueError: if a file holds no groups of rules.
    """
    groups: list[Any] = []
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        found = document.get("groups") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise ValueError(f"{path}: there are no groups of rules")
        groups += found
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        # kube-prometheus-stack looks at those of its own release alone.
        "metadata": {"name": "potoo", "labels": {"release": "prometheus"}},
        "spec": {"groups": groups},
    }
    text: str = yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )
    return HEADER + text


def main() -> int:
    """Writes it; the exit status."""
    try:
        OUTPUT.write_text(prometheus_rule(RULES))
    except (yaml.YAMLError, ValueError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
