"""A folder for each class: ``glass/1.jpg`` is a photo of glass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.teach.datasets.importing.listing import Found, shown

UNLABELLED = "_unlabelled"
"""Folder of photos without a label."""
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}
"""Folders around those of classes: all photos go into one dataset, which is split by groups."""


def from_folders(names: Sequence[str]) -> Iterator[Found]:
    """Yield the photos of a tree of folders, labelled by the first folder that says a class.

    One folder around everything, and folders of splits (``train``, ``val``, ``test``), are no
    classes. A folder within that of a class is a group: photos of one day, or of one burst.
    """
    parts = [name.split("/") for name in names]
    parts = _without_common(parts)
    firsts = {one[0].casefold() for one in parts if len(one) > 2}
    if firsts and firsts <= SPLITS and all(len(one) > 2 for one in parts):
        parts = [one[1:] for one in parts]
    for name, rest in zip(names, parts, strict=True):
        label = rest[0] if len(rest) > 1 and rest[0] != UNLABELLED else None
        yield Found(
            file=name,
            name=shown(name),
            labels=None if label is None else (label,),
            group="/".join(rest[:-1]) if len(rest) > 2 else None,
        )


def _without_common(parts: list[list[str]]) -> list[list[str]]:
    """Drop a folder around everything, if there are folders within it."""
    while parts:
        first = parts[0][0]
        is_around = all(len(one) > 1 and one[0] == first for one in parts)
        if not is_around or not any(len(one) > 2 for one in parts):
            return parts
        if any(len(one) == 2 for one in parts) and first.casefold() not in SPLITS:
            return parts  # photos and folders in it: the folder of a class, with groups
        parts = [one[1:] for one in parts]
    return parts
