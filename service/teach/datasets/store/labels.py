"""Labels of a photo as text: a JSON list of class names, sorted, so that equal labels are equal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache


def labels_json(labels: Iterable[str] | None) -> str | None:
    """Return labels as the store keeps them; None: not labelled."""
    return None if labels is None else json.dumps(sorted(set(labels)), ensure_ascii=False)


@lru_cache(1024)  # photos of one class have the same text
def labels_of(text: str | None) -> tuple[str, ...] | None:
    """Return the labels of a stored text; None: not labelled."""
    return None if text is None else tuple(json.loads(text))
