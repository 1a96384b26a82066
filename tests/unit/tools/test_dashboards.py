"""The committed dashboards are up to date, fit Grafana's grid, and link to runbooks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deploy.rules import ALERTS, RULES
from tests.support.repository import ROOT
from tests.support.servers.databases import missing
from tools.grafana import __main__ as writing
from tools.grafana.building import as_json
from tools.grafana.dashboards import DASHBOARDS
from tools.grafana.panels import COLUMNS, INFERENCE_METHODS, INFERENCE_ROUTES, Dashboard, Kind

GRAFANA = ROOT / "deploy" / "grafana"
UNSHOWN = {"PotooCertificateExpiresNow", "PotooMonitoringFails", "PotooPublicNameDown"}
"""Alerts without a panel: the first shares one, the others are about external services."""
every_dashboard = pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)


@every_dashboard
def test_committed_json_matches_the_generated_dashboard(board: Dashboard) -> None:
    committed = (GRAFANA / "json" / f"{board.name}.json").read_text()
    assert committed == as_json(board), "make dashboards"


def test_committed_dashboards_are_exactly_the_generated_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.json").write_text("{}")
    monkeypatch.setattr(writing, "FOLDER", tmp_path)
    writing.main()
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in (GRAFANA / "json").iterdir()}
    assert made == {f"{board.name}.json" for board in DASHBOARDS}


@every_dashboard
def test_panels_fit_the_grid_without_overlap(board: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(as_json(board))["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    # At most six figures or three graphs in a row are readable at a glance.
    assert all(panel.width >= (4 if panel.kind is Kind.NUMBER else 8) for panel in board.panels())


@every_dashboard
def test_every_panel_has_description_datasource_unit_and_links(board: Dashboard) -> None:
    identifiers = []
    for panel in json.loads(as_json(board))["panels"]:
        identifiers.append(panel["id"])
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        for link in panel["links"]:
            assert link["url"].removeprefix("${runbooks}/").removesuffix(".md") in ALERTS
    assert len(identifiers) == len(set(identifiers))


@every_dashboard
def test_dashboard_variables_cover_those_in_queries(board: Dashboard) -> None:
    made = json.loads(as_json(board))
    known = {variable["name"] for variable in made["templating"]["list"]}
    assert known == {"datasource", "job", "instance", "model", "runbooks"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(made["panels"])))
    assert used - {"__rate_interval"} <= known


def test_every_alert_has_a_panel() -> None:
    linked = {alert for board in DASHBOARDS for panel in board.panels() for alert in panel.alerts}
    assert linked <= set(ALERTS)
    assert set(ALERTS) - linked == UNSHOWN


@pytest.mark.process
def test_failed_version_counts_once_however_many_replicas_have_it(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool")
    (query,) = [
        panel.queries[0].expr
        for board in DASHBOARDS
        for panel in board.panels()
        if panel.title == "Versions failed"
    ]
    failed = 'potoo_model_version_state{job="potoo",model="m",version="2",state="FAILED",instance='
    series = [{"series": f'{failed}"{instance}"}}', "values": "1x5"} for instance in "abc"]
    expected = [{"labels": "{}", "value": 1}]
    sample = {"eval_time": "2m", "expr": shown(query), "exp_samples": expected}
    case = {"interval": "1m", "input_series": series, "promql_expr_test": [sample]}
    file = tmp_path / "failed.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    done = subprocess.run(
        [str(promtool), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def shown(query: str) -> str:
    """The query as Grafana sends it, with every replica and model selected."""
    return re.sub(r"\$\w+", ".*", query)


def test_inference_routes_are_the_same_in_rules_and_dashboards() -> None:
    for file in ("recording.yaml", "alerts.yaml"):
        text = (RULES / file).read_text()
        assert set(re.findall(r'route=~"([^"]+)"', text)) == {INFERENCE_ROUTES}
        assert set(re.findall(r'method=~"([^"]+)"', text)) <= {INFERENCE_METHODS}


def test_grafana_provisioning_names_prometheus_and_dashboards() -> None:
    def read(name: str) -> Any:
        return yaml.safe_load((GRAFANA / "provisioning" / name).read_text())

    (source,) = read("datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]
    (provider,) = read("dashboards/potoo.yaml")["providers"]
    assert provider["options"]["path"] == "/etc/grafana/json"
