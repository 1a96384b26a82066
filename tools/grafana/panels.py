"""Description of a dashboard, independent of Grafana: panels in rows, each with its queries.

``building`` makes Grafana's JSON of it and ``pictures`` the images in the docs, so both show the
same. The grid is Grafana's: 24 columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

COLUMNS = 24

# Selectors, by the variables at the head of every dashboard.
JOB = 'job=~"$job"'
INSTANCE = f'{JOB},instance=~"$instance"'
MODEL = f'{INSTANCE},model=~"$model"'

INFERENCE_ROUTES = (
    "/v1/classify(/batch)?|/v2/.*/infer|.*:(predict|classify)|/predictions/.*|/predict"
)
"""Routes of inference, as in ``rules/recording.yaml``; a test compares them."""
INFERENCE_METHODS = (
    "inference.GRPCInferenceService/Model(Stream)?Infer|potoo.v1.ModelService/Predict"
)


class Unit(StrEnum):
    """Grafana's names of units."""

    NUMBER = "short"
    SECONDS = "s"
    SHARE = "percentunit"
    PER_SECOND = "reqps"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    DAYS = "d"


class Kind(StrEnum):
    """Grafana's names of panel types."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """A Prometheus query. ``is_limit``: drawn as the limit of the others."""

    expr: str
    legend: str = ""
    is_limit: bool = False


class Step(NamedTuple):
    """A threshold from which a number has another colour."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        description: meaning and interpretation, shown when the mouse is over the panel.
        width: of 24 columns.
        base: colour of a number below the first step.
        lines_at: values marked by a dashed line.
        columns: of a table: the labels shown, in order.
        alerts: names of the alerts whose runbooks it links to.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: Unit = Unit.NUMBER
    kind: Kind = Kind.LINES
    width: int = 8
    height: int = 7
    decimals: int | None = None
    maximum: float | None = None
    base: str = "text"
    steps: tuple[Step, ...] = ()
    lines_at: tuple[float, ...] = ()
    stacked: bool = False
    columns: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


def number(
    title: str,
    description: str,
    expr: str,
    unit: Unit = Unit.NUMBER,
    *,
    decimals: int | None = None,
    base: str = "text",
    steps: tuple[Step, ...] = (),
    alerts: tuple[str, ...] = (),
) -> Panel:
    """Build a panel of a single figure, six to a row."""
    return Panel(
        *(title, description, (Query(expr),), unit, Kind.NUMBER),
        width=4,
        height=3,
        decimals=decimals,
        base=base,
        steps=steps,
        alerts=alerts,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


class Place(NamedTuple):
    """Position and size of a panel or heading in the grid."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. ``name``: of its file, and the end of its address."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """Yield all panels in order."""
        for row in self.rows:
            yield from row.panels

    def placed(self) -> Iterator[tuple[Row | Panel, Place]]:
        """Yield headings and panels with their places, from the top left to the bottom right."""
        y = 0
        for row in self.rows:
            yield row, Place(0, y, COLUMNS, 1)
            x, y, height = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, height = 0, y + height, 0
                yield panel, Place(x, y, panel.width, panel.height)
                x, height = x + panel.width, max(height, panel.height)
            y += height


def with_all_chosen(expr: str, rate_interval: str) -> str:
    """Expand a query as Grafana does with "All" chosen everywhere and the job ``potoo``."""
    for variable, everything in (("job", "potoo"), ("instance", ".+"), ("model", ".+")):
        expr = expr.replace(f"${variable}", everything)
    return expr.replace("$__rate_interval", rate_interval)
