"""The JavaScript client of ``docs/websocket.md``."""

from __future__ import annotations

import re

from tests.support.repository import ROOT

MOST_LINES, MOST_COLUMNS = 20, 120


def documented_client() -> str:
    """The function ``stream`` as documented: short, and not by long lines."""
    document = (ROOT / "docs/websocket.md").read_text()
    found = re.search(r"```js\n(.*?)```", document, re.DOTALL)
    assert found
    lines = found[1].splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_COLUMNS
    return found[1]


DRAW = """
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    pen.fillStyle = "rgb(0, 0, 255)";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
"""
"""Statements that set ``blob`` to a blue image."""
