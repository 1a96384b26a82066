"""Groups of photos that are not independent: never split between fitting and judging."""

from __future__ import annotations

from collections.abc import Sequence

from service.teach.datasets.records import StoredPhoto

BURST_SECONDS = 10.0
"""Photos of one source taken within so long of the first one are a burst."""


def group_photos(photos: Sequence[StoredPhoto]) -> list[int]:
    """Return the number of each photo's group, from 0, in the order of ``photos``.

    A group is what was given; else a burst; else the photo alone. A photo without a time is alone.
    A burst has a bounded length: somebody who photographs one thing after the other, without a
    pause, still makes several groups.
    """
    names: dict[str, str] = {}
    timed = [one for one in photos if one.group is None and one.captured is not None]
    first: StoredPhoto | None = None
    for photo in sorted(timed, key=lambda one: (one.source, one.captured or 0.0, one.id)):
        if first is None or not _is_burst(first, photo):
            first = photo
        names[photo.id] = f"burst {first.id}"
    numbers: dict[str, int] = {}
    found: list[int] = []
    for photo in photos:
        alone = names.get(photo.id, f"photo {photo.id}")
        name = alone if photo.group is None else f"given {photo.group}"
        found.append(numbers.setdefault(name, len(numbers)))
    return found


def _is_burst(first: StoredPhoto, photo: StoredPhoto) -> bool:
    if first.source is not photo.source or first.captured is None or photo.captured is None:
        return False
    return photo.captured - first.captured <= BURST_SECONDS
