"""The start-up line with the models."""

from __future__ import annotations

import pytest

from service.core.imaging.answer import ModelRef
from service.transport.http.server.models_line import models_line

ONE, TWO = ModelRef("imagenet", 2), ModelRef("everyday", 1)
MANY = [ModelRef(f"m{number}", 1) for number in range(7)]


@pytest.mark.parametrize(
    ("answering", "default", "line"),
    [
        ([ONE], ONE, "imagenet 2 (default)"),
        ([ONE, TWO], ONE, "imagenet 2 (default), everyday 1"),
        ([TWO, ONE], None, "everyday 1, imagenet 2 (no default: calls must name one)"),
        (MANY, MANY[0], "m0 1 (default), m1 1, m2 1, m3 1, m4 1, and 2 more"),
    ],
    ids=["one", "two", "none chosen", "many"],
)
def test_start_line_names_models_and_the_default(
    answering: list[ModelRef], default: ModelRef | None, line: str
) -> None:
    assert models_line(answering, default) == line
