"""``python -m tools.thresholds deploy/autoscaling.yaml``: writes the manifests."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.thresholds.document import BadThresholds, read_thresholds, site
from tools.thresholds.manifests import manifests

COMPONENTS = Path(__file__).parents[2] / "deploy/kubernetes/components"


def main(arguments: list[str] | None = None) -> int:
    """Write the manifests; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.thresholds", description="Manifests from measured thresholds."
    )
    parser.add_argument("document", type=Path, help="what `potoo calibrate --output` wrote")
    parser.add_argument("--usual-peak", type=int, default=4, help="replicas of a usual day's peak")
    parser.add_argument("--max-replicas", type=int, default=10)
    parser.add_argument("--namespace", default="potoo", help="where the replicas run")
    parser.add_argument(
        "--prometheus",
        default="http://prometheus-operated.monitoring.svc:9090",
        help="as KEDA reaches it",
    )
    parser.add_argument("--output", type=Path, default=COMPONENTS, help="folder")
    given = parser.parse_args(arguments)
    try:
        thresholds = read_thresholds(given.document)
        where = site(
            thresholds,
            namespace=given.namespace,
            prometheus=given.prometheus,
            usual_peak=given.usual_peak,
            max_replicas=given.max_replicas,
        )
    except BadThresholds as error:
        print(error, file=sys.stderr)
        return 1
    for manifest in manifests(thresholds, where):
        path = given.output / manifest.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(manifest.text(f"{given.document.parent.name}/{given.document.name}"))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
