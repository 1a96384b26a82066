"""The learning curve as SVG, without styles that a policy would forbid."""

from __future__ import annotations

import math

from schemas.teach.verdict import Verdict

_WIDTH, _HEIGHT, _LEFT, _BELOW, _MARGIN = 640, 320, 56, 40, 16
_GREY, _BLUE = "#888", "#1565c0"


def curve_svg(verdict: Verdict) -> str:
    """Return accuracy over the number of labels, logarithmic, with intervals."""
    points = verdict.curve
    first, last = math.log(points[0].photos), math.log(points[-1].photos)
    least = min(point.low for point in points)

    def x(photos: float) -> float:
        share = 0.5 if last == first else (math.log(photos) - first) / (last - first)
        return _LEFT + share * (_WIDTH - _LEFT - _MARGIN)

    def y(value: float) -> float:
        share = (value - least) / max(1.0 - least, 1e-9)
        return _HEIGHT - _BELOW - share * (_HEIGHT - _BELOW - _MARGIN)

    box, label = f"0 0 {_WIDTH} {_HEIGHT}", "Accuracy by the number of labels"
    parts = [f'<svg viewBox="{box}" role="img" aria-label="{label}">']
    for value in (least, 1.0):
        parts.append(_line(_LEFT, y(value), _WIDTH - _MARGIN, y(value), _GREY, 0.5))
        parts.append(_text(_LEFT - 8, y(value) + 5, f"{value:.0%}", "end"))
    for point in points:
        at = x(point.photos)
        parts.append(_line(at, y(point.low), at, y(point.high), _BLUE, 1.5))
        parts.append(f'<circle cx="{at:.1f}" cy="{y(point.accuracy):.1f}" r="4" fill="{_BLUE}"/>')
        parts.append(_text(at, _HEIGHT - 14, str(point.photos), "middle"))
    line = " ".join(f"{x(point.photos):.1f},{y(point.accuracy):.1f}" for point in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{_BLUE}" stroke-width="2"/>')
    return "".join([*parts, "</svg>"])


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="14" fill="{_GREY}">{text}</text>'
