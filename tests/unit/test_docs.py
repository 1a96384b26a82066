"""Links between documents, including headings, are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/*.md")])
LINK = re.compile(r"\]\((?P<file>[^)#\s]*)(#(?P<heading>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """The names of its headings, as forges make them."""
    found = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in LINK.finditer(document.read_text()):
        if link["file"].startswith(("https://", "http://")):
            continue
        target = document.parent / link["file"] if link["file"] else document
        assert target.exists(), link[0]
        if link["heading"] and target.suffix == ".md":
            assert link["heading"] in anchors(target), link[0]
