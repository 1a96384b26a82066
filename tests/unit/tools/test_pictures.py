"""Dashboards as images: every panel is drawn, with data and without."""

# ruff: noqa: ARG002 - fakes have the parameters of the real one

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from PIL import Image

from tools.grafana import pictures
from tools.grafana.dashboards import DASHBOARDS
from tools.grafana.panels import Dashboard, Unit
from tools.grafana.rehearsal import Rehearsed
from tools.grafana.units import shown

LABELS = {"instance": "127.0.0.1:1", "model": "birds", "method": "potoo.v1.ModelService/Predict"}


class Nothing:
    """A Prometheus without data."""

    def value_at(self, query: str, at: float) -> list[dict[str, Any]]:
        return []

    def course(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        return []


class Something:
    """A Prometheus with two series for every query: one with gaps, and one without a number."""

    def __init__(self) -> None:
        self.asked = set[str]()

    def value_at(self, query: str, at: float) -> list[dict[str, Any]]:
        self.asked.add(query)
        return [{"metric": LABELS, "value": [at, "0.5"]}]

    def course(
        self, query: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        self.asked.add(query)
        gaps = [(start, 1.0), (start + 2, 2.0), (start + 10, 3.0)]
        return [(LABELS, gaps), ({}, [(start, math.nan)])]


def words(board: Dashboard, seen: Rehearsed) -> list[str]:
    """All text in the image."""
    figure = pictures.draw(board, seen)
    figure.savefig(io.BytesIO(), dpi=20)
    texts = [*figure.texts]
    for axes in figure.axes:
        inner = axes.child_axes
        texts += [text for one in (axes, *inner) for text in one.texts]
        if legend := axes.get_legend():
            texts += legend.get_texts()
    return [text.get_text() for text in texts]


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)
def test_every_panel_is_drawn_from_its_own_queries(board: Dashboard) -> None:
    recorded = Something()
    found = words(board, Rehearsed(recorded, 100, 160, {"127.0.0.1:1": "replica 1"}))
    assert {board.title, *(panel.title for panel in board.panels())} <= set(found)
    assert "no data" not in found
    assert len(recorded.asked) == len({q.expr for panel in board.panels() for q in panel.queries})
    assert not any("{{" in word and "instance" in word for word in found)


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)
def test_panel_without_data_shows_no_data(board: Dashboard) -> None:
    found = words(board, Rehearsed(Nothing(), 100, 160, {}))
    assert "no data" in found


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.name)
def test_committed_pictures_have_the_configured_width(board: Dashboard) -> None:
    with Image.open(pictures.FOLDER / f"{board.name}.png") as image:
        assert image.width == pictures.WIDTH * pictures.DPI


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (0.0123, Unit.SECONDS, None, "12.3 ms"),
        (1.5, Unit.SECONDS, None, "1.5 s"),
        (0, Unit.SECONDS, None, "0"),
        (0.99941, Unit.SHARE, 3, "99.941%"),
        (-0.5, Unit.SHARE, 0, "-50%"),
        (3 * 2**20, Unit.BYTES, None, "3 MiB"),
        (6_400_000, Unit.BYTES_PER_SECOND, None, "6.4 MB/s"),
        (24, Unit.PER_SECOND, None, "24/s"),
        (9, Unit.DAYS, None, "9 d"),
        (28_735, Unit.NUMBER, None, "28,735"),
    ],
)
def test_numbers_are_formatted_for_reading(
    value: float, unit: Unit, decimals: int | None, expected: str
) -> None:
    assert shown(value, unit, decimals) == expected
