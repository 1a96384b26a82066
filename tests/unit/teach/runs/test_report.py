"""The report and the card: everything is escaped, nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from schemas.teach.verdict import Verdict
from service.cli.teach.verdict_lines import base_lines, verdict_lines
from service.teach.grafting.card import plain
from service.teach.runs.report.page import (
    MOST_PICTURES,
    REPORT_POLICY,
    Report,
    report_html,
    wanted_pictures,
)

HOSTILE = '<script src="//x.example">&"\'|`*'
INTERVAL = {"low": 0.7, "high": 0.95}


def verdict(name: str = HOSTILE, suspects: int = 2) -> Verdict:
    """A verdict on two classes, the first of which is called ``name``."""
    per_class = [
        {
            "name": one,
            "photos": 10,
            "groups": 10,
            "held_out": 10,
            "right": 9,
            "answered": 10,
            "precision": 0.9,
            "recall": 0.9,
            "recall_interval": INTERVAL,
        }
        for one in (name, "paper")
    ]
    return Verdict.model_validate(
        {
            "kind": "single",
            "classes": [name, "paper"],
            "photos": 20,
            "groups": 20,
            "accuracy": {
                "value": 0.9,
                "right": 18,
                "photos": 20,
                "groups": 20,
                "interval": INTERVAL,
            },
            "confusion": [[9, 1], [1, 9]],
            "per_class": per_class,
            "curve": [
                {"photos": 5, "accuracy": 0.7, "low": 0.5, "high": 0.8},
                {"photos": 20, "accuracy": 0.9, "low": 0.7, "high": 0.95},
            ],
            "enough": False,
            "advice": [f"Not yet: label 10 more of '{name}'."],
            "suspects": [
                {"photo": f"{name}{number}", "label": name, "proposed": "paper", "score": 0.9}
                for number in range(suspects)
            ],
            "inseparable": [
                {"first": name, "second": "paper", "photos": 20, "right": 11, "interval": INTERVAL}
            ],
            "calibration": {
                "temperature": 1.0,
                "error": 0.03,
                "promised_precision": 0.95,
                "threshold": 0.6,
                "coverage": 0.9,
                "precision": 0.96,
            },
            "foreign": {"photos": 20, "distance": 1.5, "answered": 0.05},
        }
    )


class Tags(HTMLParser):
    """The elements of a page, and the places that it loads from."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in {"src", "href"}:
                self.loaded.append(value or "")


def test_names_of_classes_and_photos_are_text() -> None:
    page = report_html(Report(title=HOSTILE, verdict=verdict(), facts=(("Dataset", HOSTILE),)))
    tags = Tags(page).tags
    assert "script" not in tags
    assert {"table", "svg", "figure"} <= tags
    assert HOSTILE not in page


def test_pictures_are_in_the_page() -> None:
    wanted = wanted_pictures(verdict())
    page = report_html(
        Report(title="a", verdict=verdict(), pictures=dict.fromkeys(wanted, b"JPEG"))
    )
    data = base64.b64encode(b"JPEG").decode()
    assert Tags(page).loaded == [f"data:image/jpeg;base64,{data}"] * 2


def test_the_number_of_pictures_is_bounded() -> None:
    assert len(wanted_pictures(verdict(suspects=500))) == MOST_PICTURES


def test_the_policy_is_for_this_style_and_nothing_else() -> None:
    page = report_html(Report(title="a", verdict=verdict()))
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in REPORT_POLICY
    assert REPORT_POLICY.startswith("default-src 'none'")
    assert "script" not in REPORT_POLICY


def test_a_table_of_markdown_stays_one() -> None:
    assert plain("a|b\nc`<d>") == "a\\|b c\\`\\<d\\>"


def test_lines_of_the_terminal_give_every_class_and_every_advice() -> None:
    lines = list(verdict_lines(verdict("glass")))
    assert sum(line.strip().startswith(("glass", "paper")) for line in lines) == 2
    assert "Not yet: label 10 more of 'glass'." in lines
    table = list(base_lines({"imagenet": verdict("glass"), "absent": "There is no such model."}))
    assert "90.0%" in table[1]
    assert table[2].endswith("There is no such model.")
