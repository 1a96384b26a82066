"""The report of a verdict as HTML. All text is escaped; pictures are data URIs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from schemas.teach.verdict import Interval, Suspect, Verdict
from service.teach.grafting.card import percent
from service.teach.runs.report.curve import curve_svg

MOST_PICTURES = 60
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --hit: 46, 125, 50; --miss: 198, 40, 40; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: right; }
th[scope=row], td.text { text-align: left; }
.wide { overflow-x: auto; }
.photos { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; width: 10rem; } figure img { max-width: 100%; border-radius: .3rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.verdict { font-size: 1.2rem; font-weight: 600; }
.h1 { background: rgba(var(--hit), .15); } .h2 { background: rgba(var(--hit), .3); }
.h3 { background: rgba(var(--hit), .45); } .h4 { background: rgba(var(--hit), .6); }
.m1 { background: rgba(var(--miss), .15); } .m2 { background: rgba(var(--miss), .3); }
.m3 { background: rgba(var(--miss), .45); } .m4 { background: rgba(var(--miss), .6); }
svg { width: 100%; max-width: 40rem; height: auto; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
REPORT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the report: no script, no other origin."""
_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report shows.

    Attributes:
        title: such as "bins 3".
        facts: short lines about the run: dataset, base, when.
        pictures: small JPEGs by photo id; without one, a photo is named by its id.
        names: what else to call photos, by id, such as their files.
    """

    title: str
    verdict: Verdict
    facts: tuple[tuple[str, str], ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def wanted_pictures(verdict: Verdict) -> list[str]:
    """Return the ids of the photos that a report shows, the most important first."""
    return list(dict.fromkeys(one.photo for one in verdict.suspects))[:MOST_PICTURES]


def report_html(report: Report) -> str:
    """Return the whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    verdict, title = report.verdict, escape(report.title)
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    # Of a file that is opened without a server; a header says the rest.
    policy = REPORT_POLICY.split("; frame-ancestors", maxsplit=1)[0]
    yield f'<meta http-equiv="content-security-policy" content="{escape(policy)}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>"
    yield f'<p class="verdict">{"Enough labels" if verdict.enough else "Not enough labels yet"}</p>'
    yield "<ul>"
    yield from (f"<li>{escape(sentence)}</li>" for sentence in verdict.advice)
    yield "</ul>"
    yield from _figures(report)
    if verdict.kind == "single":
        yield from _confusion(verdict)
    yield from _classes(verdict)
    if verdict.curve:
        yield "<h2>Accuracy by the number of labels</h2>"
        yield curve_svg(verdict)
    yield from _pairs(verdict)
    yield from _suspects(report)
    yield (
        "<p>Every figure is of held-out answers: each photo was judged by a head that saw no photo "
        "of its group.</p></body></html>"
    )


def _figures(report: Report) -> Iterator[str]:
    verdict = report.verdict
    accuracy, calibration = verdict.accuracy, verdict.calibration
    rows = list(report.facts)
    rows.append(("Photos", f"{verdict.photos} in {verdict.groups} groups"))
    if accuracy.value is not None:
        rows.append(("Accuracy", f"{percent(accuracy.value)}{within(accuracy.interval)}"))
    if calibration.threshold is not None:
        right, answered = percent(calibration.precision), percent(calibration.coverage)
        promised = percent(calibration.promised_precision)
        kept = f"{right} right; {answered} of photos answered; promised {promised}"
        rows.append((f"Answers from {calibration.threshold:.3f} on", kept))
    if calibration.error is not None:
        rows.append(("Calibration error", percent(calibration.error)))
    if verdict.foreign is not None:
        answered = f"{percent(verdict.foreign.answered)} of {verdict.foreign.photos}"
        rows.append(("Foreign pictures answered", answered))
    yield "<table>"
    for name, value in rows:
        yield f'<tr><th scope="row">{escape(name)}</th><td class="text">{escape(value)}</td></tr>'
    yield "</table>"


def _confusion(verdict: Verdict) -> Iterator[str]:
    yield "<h2>Confusion</h2><p>Row: the label. Column: the answer.</p>"
    yield '<div class="wide"><table><tr><td></td>'
    yield from (f'<th scope="col">{escape(name)}</th>' for name in verdict.classes)
    yield "</tr>"
    for place, (name, row) in enumerate(zip(verdict.classes, verdict.confusion, strict=True)):
        cells = "".join(
            f"<td{_shade(count, sum(row), is_hit=place == column)}>{count}</td>"
            for column, count in enumerate(row)
        )
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</table></div>"


def _shade(count: int, total: int, *, is_hit: bool) -> str:
    if not count:
        return ""
    step = min(_STEPS, 1 + int(_STEPS * count / max(total, 1)))
    return f' class="{"h" if is_hit else "m"}{step}"'


def _classes(verdict: Verdict) -> Iterator[str]:
    yield "<h2>Classes</h2><table><tr><td></td>"
    heads = ("photos", "groups", "found", "95% interval", "right of its answers")
    yield from (f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr>"
    for one in verdict.per_class:
        interval = one.recall_interval
        spread = "-" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"
        cells = (one.photos, one.groups, percent(one.recall), spread, percent(one.precision))
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f'<tr><th scope="row">{escape(one.name)}</th>{row}</tr>'
    yield "</table>"


def _pairs(verdict: Verdict) -> Iterator[str]:
    if not verdict.inseparable:
        return
    yield "<h2>Classes that cannot be told apart</h2><ul>"
    for pair in verdict.inseparable:
        names = f"{escape(pair.first)} and {escape(pair.second)}"
        yield f"<li>{names}: {pair.right} of {pair.photos} photos right</li>"
    yield "</ul>"


def _suspects(report: Report) -> Iterator[str]:
    suspects = report.verdict.suspects
    if not suspects:
        return
    yield "<h2>Photos whose label the others contradict</h2>"
    pairs: dict[tuple[str, str], list[Suspect]] = {}
    for one in suspects:
        pairs.setdefault((one.label, one.proposed), []).append(one)
    for (label, proposed), some in sorted(pairs.items(), key=lambda item: -len(item[1])):
        yield f"<h3>{escape(label)}, answered as {escape(proposed)}: {len(some)}</h3>"
        yield '<div class="photos">'
        yield from (_figure(report, one) for one in some)
        yield "</div>"


def _figure(report: Report, suspect: Suspect) -> str:
    name = escape(report.names.get(suspect.photo, suspect.photo))
    picture = report.pictures.get(suspect.photo)
    image = ""
    if picture is not None:
        data = base64.b64encode(picture).decode()
        image = f'<img alt="{name}" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{name}: {percent(suspect.score)}</figcaption></figure>"


def within(interval: Interval | None) -> str:
    """Return an interval in brackets; nothing if there is none."""
    if interval is None:
        return ""
    ends = f"{percent(interval.low)} to {percent(interval.high)}"
    return f" ({interval.level:.0%} interval {ends})"
