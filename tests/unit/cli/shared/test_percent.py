"""Formatting of probabilities."""

from __future__ import annotations

import pytest

from service.cli.shared.percent import percent

SHOWN = {
    0.0: "0.0%",
    1e-9: "<0.1%",
    0.000499: "<0.1%",
    0.0005: "0.1%",
    0.3104: "31.0%",
    0.7005: "70.1%",
    0.98: "98.0%",
    0.9994: "99.9%",
    0.999499: "99.9%",
    0.9995: "100.0%",
    1.0: "100.0%",
}


@pytest.mark.parametrize(("score", "text"), SHOWN.items())
def test_score_is_formatted_as_a_percentage(score: float, text: str) -> None:
    assert percent(score) == text
