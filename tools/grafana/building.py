"""Dashboards for Grafana, built with its own SDK (grafana-foundation-sdk)."""

# ruff: noqa: FBT003 - the SDK's setters take their value by position

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.grafana.panels import Dashboard, Kind, Panel, Place, Query, Row, Unit

TAG = "potoo"
SOURCE = dashboard.DataSourceRef("prometheus", "${datasource}")
LIMIT_COLOUR = "red"

Builder: TypeAlias = timeseries.Panel | stat.Panel | table.Panel


def as_json(given: Dashboard) -> str:
    """Encode a dashboard as Grafana's JSON."""
    return json.dumps(_build(given), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _build(given: Dashboard) -> dashboard.Dashboard:
    made = (
        builders.Dashboard(given.title)
        .uid(f"{TAG}-{given.name}")
        .description(given.description)
        .tags([TAG])
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .link(
            builders.DashboardLink("Potoo")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
        )
    )
    for variable in _variables():
        made.with_variable(variable)
    for number, (part, place) in enumerate(given.placed(), 1):
        position = dashboard.GridPos(place.height, place.width, place.x, place.y)
        if isinstance(part, Row):
            made.with_row(builders.Row(part.title).id(number).grid_pos(position))
        else:
            made.with_panel(_panel(part, place).id(number).grid_pos(position))
    return made.build()


def _variables() -> tuple[
    builders.DatasourceVariable | builders.QueryVariable | builders.TextBoxVariable, ...
]:
    """Build the variables at the head of every dashboard."""
    return (
        builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        # Scoped to Potoo's jobs: others have metrics of the same names (up, process_...).
        _choice("job", "label_values(potoo_build_info, job)"),
        _choice("instance", 'label_values(potoo_build_info{job=~"$job"}, instance)').all_value(
            ".+"
        ),
        _choice("model", 'label_values(potoo_model_ready{job=~"$job"}, model)').all_value(".+"),
        builders.TextBoxVariable("runbooks")
        .label("Runbooks at")
        .description("Address of docs/runbooks in your copy; what the panels link to.")
        .default_value("docs/runbooks"),
    )


def _choice(name: str, query: str) -> builders.QueryVariable:
    """Build a multiple choice of a label's values, all of them by default."""
    return (
        builders.QueryVariable(name)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(True, ["All"], ["$__all"]))
    )


def _panel(panel: Panel, place: Place) -> Builder:
    made = _DRAWN[panel.kind](panel)
    made.title(panel.title).description(panel.description).datasource(SOURCE)
    made.unit(panel.unit).height(place.height).span(place.width)
    if panel.decimals is not None:
        made.decimals(panel.decimals)
    if panel.maximum is not None:
        made.max(panel.maximum)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(panel, query, chr(ord("A") + number)))
    made.links(
        [
            builders.DashboardLink(alert)
            .type(dashboard.DashboardLinkType.LINK)
            .url(f"${{runbooks}}/{alert}.md")
            .target_blank(True)
            for alert in panel.alerts
        ]
    )
    return made


def _target(panel: Panel, query: Query, letter: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
    if panel.kind is Kind.LINES:
        return target.range().exemplar(panel.unit is Unit.SECONDS)
    is_table = panel.kind is Kind.TABLE
    return target.instant().format(
        PromQueryFormat.TABLE if is_table else PromQueryFormat.TIME_SERIES
    )


def _lines(panel: Panel) -> timeseries.Panel:
    made = timeseries.Panel().line_width(1).fill_opacity(30 if panel.stacked else 8)
    made.show_points(common.VisibilityMode.NEVER).axis_soft_min(0)
    made.legend(
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    made.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if panel.stacked:
        made.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for query in panel.queries:
        if query.is_limit:
            made.override_by_name(query.legend, _dashed())
    if panel.lines_at:
        steps = [dashboard.Threshold(value, LIMIT_COLOUR) for value in panel.lines_at]
        made.thresholds(_thresholds([dashboard.Threshold(None, "transparent"), *steps]))
        made.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        )
    return made


def _dashed() -> list[dashboard.DynamicConfigValue]:
    return [
        dashboard.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        dashboard.DynamicConfigValue("custom.fillOpacity", 0),
        dashboard.DynamicConfigValue("custom.stacking", {"mode": "none"}),
        dashboard.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": LIMIT_COLOUR}),
    ]


def _figure(panel: Panel) -> stat.Panel:
    steps = [dashboard.Threshold(step.value, step.colour) for step in panel.steps]
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .no_value("no data")
        .thresholds(_thresholds([dashboard.Threshold(None, panel.base), *steps]))
    )


def _table(panel: Panel) -> table.Panel:
    """Build a table with the shown labels as columns."""
    hidden = {"Time": True, "Value": True}
    order = {name: number for number, name in enumerate(panel.columns)}
    tidy = dashboard.DataTransformerConfig(
        "organize", options={"excludeByName": hidden, "indexByName": order}
    )
    return table.Panel().show_header(True).with_transformation(tidy)


def _thresholds(steps: list[dashboard.Threshold]) -> builders.ThresholdsConfig:
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


_DRAWN: Mapping[Kind, Callable[[Panel], Builder]] = {
    Kind.LINES: _lines,
    Kind.NUMBER: _figure,
    Kind.TABLE: _table,
}
