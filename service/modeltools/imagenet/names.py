"""Names of the thousand ImageNet classes and the groups above them, read from two CSV files.

``classes.csv`` holds a row for each class in the order of ILSVRC2012; ``groups.csv`` maps a group
to its wider group.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Labels, groups and synonyms of the classes.

    Attributes:
        labels: by index.
        groups: label to group, and group to wider group.
        synonyms: label to its other usual names; labels without any are left out.
    """

    labels: tuple[str, ...]
    groups: dict[str, str]
    synonyms: dict[str, tuple[str, ...]]


def class_names() -> ClassNames:
    """Read both files anew, so that the caller may change the dictionaries."""
    classes = _rows("classes.csv")
    groups = {row["label"]: row["group"] for row in classes}
    groups |= {row["group"]: row["wider"] for row in _rows("groups.csv")}
    return ClassNames(
        labels=tuple(row["label"] for row in classes),
        groups=groups,
        synonyms={
            row["label"]: tuple(row["synonyms"].split("|")) for row in classes if row["synonyms"]
        },
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
