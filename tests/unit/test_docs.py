"""Links in the documents are valid; the files, make targets, settings and metrics they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand

from observability.metrics.metrics import Metrics
from service.cli import app
from service.settings import (
    CONFIG_VARIABLE,
    OF_ONE_MODEL,
    SECRETS_VARIABLE,
    Settings,
    describe_settings,
)
from service.transport.http.middleware.errors import STATUS
from tests.support.repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/**/*.md")])
LINK = re.compile(r"\]\((?P<file>[^)#\s]*)(#(?P<heading>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
PACKAGES = ("auth", "client", "observability", "schemas", "service")
FOLDERS = (*PACKAGES, "benchmarks", "deploy", "docs", "models", "tests", "tools", "training")
SOURCE = re.compile(r"(?<![\w/.*-])[\w/-]+\.(?:py|proto)\b")
PLACE = re.compile(rf"(?<![\w./~$-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")
MADE = (
    "deploy/.env",
    "deploy/authority",
    "deploy/certs",
    "deploy/secrets",
    "models/.downloads",
    "deploy/potoo",
)
"""Files that ``make prepare`` and ``potoo models pull`` write."""
COMMAND = re.compile(
    r"(?:^|exec potoo |sudo -u potoo \S+/)potoo (?P<rest>[^|;&#`\n]*)", re.MULTILINE
)
FOREIGN_VARIABLES = {"POTOO_SERVICE_HOST", "POTOO_TOKEN"}
"""Variables that Kubernetes sets for a service named potoo, and the token of a device."""
FOREIGN_SERIES = {"potoo_pb"}
"""Words that look like a metric: a Python module."""


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def sources() -> list[str]:
    """All sources, as paths from the root with a slash before them."""
    return [
        f"/{file.relative_to(ROOT)}"
        for folder in FOLDERS
        for pattern in ("*.py", "*.proto")
        for file in (ROOT / folder).rglob(pattern)
    ]


def code_of(document: Path) -> list[str]:
    """The pieces of code in a document, without delimiters, with continued lines joined."""
    pieces = CODE.findall(document.read_text())
    return [re.sub(r"\\\n\s*", " ", piece.strip("`")) for piece in pieces]


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as forges generate them."""
    found = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in found}


def test_document_links_resolve(document: Path) -> None:
    for link in LINK.finditer(document.read_text()):
        if link["file"].startswith(("https://", "http://")):
            continue
        target = document.parent / link["file"] if link["file"] else document
        assert target.exists(), link[0]
        if link["heading"] and target.suffix == ".md":
            assert link["heading"] in anchors(target), link[0]


def test_every_file_that_is_named_exists(document: Path, sources: list[str]) -> None:
    if document.name == "CHANGELOG.md":
        pytest.skip("it tells what there was")
    for piece in code_of(document):
        for name in SOURCE.findall(piece):
            is_there = any(source.endswith(f"/{name}") for source in sources)
            assert is_there, name
        for place in PLACE.findall(piece):
            if not place.startswith(MADE):
                found = list(ROOT.glob(place.rstrip("./")))
                assert found, place


def test_every_verb_of_make_exists(document: Path) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [verb for piece in code_of(document) for verb in re.findall(r"\bmake ([a-z-]+)", piece)]
    assert set(named) <= verbs


def test_every_command_and_option_exists(document: Path) -> None:
    for piece in code_of(document):
        for found in COMMAND.finditer(piece):
            words = found["rest"].strip('"').split()
            given = {word.split("=")[0] for word in words if word.startswith("--")}
            assert given <= options_of(words), found[0]


def options_of(words: list[str]) -> set[str]:
    """The options of the command that the first words name; fails if it does not exist."""
    command = typer.main.get_command(app)
    for word in words:
        commands: dict[str, TyperCommand] = getattr(command, "commands", {})
        if not commands or word.startswith("-"):
            break
        assert word in commands, words
        command = commands[word]
    named = [name for one in command.params for name in (*one.opts, *one.secondary_opts)]
    return {"--help", *named}


def test_every_setting_exists(document: Path) -> None:
    described = list(describe_settings(Settings.model_construct()))
    variables = {variable for _, variable, _, _ in described}
    variables |= {CONFIG_VARIABLE, SECRETS_VARIABLE, *FOREIGN_VARIABLES, *of_deploy()}
    for name in re.findall(r"\bPOTOO_[A-Z_]*[A-Z]\b", document.read_text()):
        assert name in variables or name.startswith(OF_ONE_MODEL), name
    keys = {key for key, _, _, _ in described}
    groups = {key.split(".")[0] for key in keys if "." in key}
    for key in re.findall(r"`([a-z]+\.[a-z_]+)(?: = [^`]*)?`", document.read_text()):
        assert key in keys or key.split(".")[0] not in groups, key


def of_deploy() -> Iterator[str]:
    """The variables of the configuration around the server, such as Caddy's."""
    for file in (ROOT / "deploy").rglob("*"):
        if file.is_file() and file.suffix not in {".md", ".json", ".png"}:
            yield from re.findall(r"\bPOTOO_[A-Z_]+", file.read_text())


def test_every_metric_exists(document: Path) -> None:
    families = [family.name for family in Metrics().registry.collect()]
    endings = ("", "_total", "_bucket", "_count", "_sum", "_info")
    series = {family + ending for family in families for ending in endings}
    variables = {variable for _, variable, _, _ in describe_settings(Settings.model_construct())}
    for name in re.findall(r"\bpotoo_[a-z_]+", document.read_text()):
        is_secret = name.upper() in variables  # a file in the folder of secrets
        assert name in series | FOREIGN_SERIES or is_secret, name


def test_the_table_of_error_codes_is_whole() -> None:
    text = (ROOT / "docs/api.md").read_text()
    told: dict[str, set[int]] = {}
    for statuses, codes in re.findall(
        r"^\| ([45]\d\d(?:, \d+)*) \| (`[^|]+) \|", text, re.MULTILINE
    ):
        for code in re.findall(r"`(\w+)`", codes):
            told[code] = {int(status) for status in statuses.split(", ")}
    assert told.keys() == {code.value for code in STATUS}
    assert all(status in told[code.value] for code, status in STATUS.items())
