"""The compose files as parsed YAML, with variables replaced."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.support.repository import ROOT

FOLDER = ROOT / "deploy"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?P<kind>:[-?])?(?P<rest>[^}]*)\}")


def text_of(name: str = "compose.yaml") -> str:
    return (FOLDER / name).read_text()


def parsed(name: str = "compose.yaml") -> dict[str, Any]:
    """The file as committed, with variables."""
    document: dict[str, Any] = yaml.safe_load(text_of(name))
    return document


def services(name: str = "compose.yaml") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parsed(name)["services"]
    return found


def filled_in(value: str, **given: str) -> str:
    """A value with its variables replaced by the given values, else by their defaults."""

    def replace(found: re.Match[str]) -> str:
        default = found["rest"] if found["kind"] == ":-" else f"<{found['name']}>"
        return given.get(found["name"], default)

    return VARIABLE.sub(replace, value).replace("$$", "$")
