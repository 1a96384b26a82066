"""``python -m tools.grafana``: writes the dashboards as JSON for Grafana."""

from __future__ import annotations

from pathlib import Path

from tools.grafana.building import as_json
from tools.grafana.dashboards import DASHBOARDS

FOLDER = Path(__file__).parents[2] / "deploy/grafana/json"


def main() -> None:
    """Replace every file in ``json/``."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for dashboard in DASHBOARDS:
        path = FOLDER / f"{dashboard.name}.json"
        path.write_text(as_json(dashboard))
        print(path)


if __name__ == "__main__":
    main()
