"""What a dashboard shows, in words of our own: panels in rows, each with its queries.

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
"""As in ``rules/recording.yaml``; a test compares them."""
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
    """How a panel is drawn; Grafana's names."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus. ``is_limit``: drawn as what the others are compared with."""

    expr: str
    legend: str = ""
    is_limit: bool = False


class Step(NamedTuple):
    """From this value on a number has another colour."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        description: what it shows and what to make of it; seen when the mouse is over the panel.
        width: of 24 columns.
        base: colour of a number below the first step.
        lines_at: values that are marked by a dashed line.
        columns: of a table: the labels that are shown, in order.
        alerts: whose runbooks it links to.
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
    """A single figure, six to a row."""
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
    """Where a panel or heading is, in the grid."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. ``name`` is its file's and the end of its address."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """All panels, in order."""
        for row in self.rows:
            yield from row.panels

    def placed(self) -> Iterator[tuple[Row | Panel, Place]]:
        """Headings and panels with their places, from the top left to the bottom right."""
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
    """The query as Grafana sends it while "All" is chosen everywhere and every job is ``potoo``."""
    for variable, everything in (("job", "potoo"), ("instance", ".+"), ("model", ".+")):
        expr = expr.replace(f"${variable}", everything)
    return expr.replace("$__rate_interval", rate_interval)
