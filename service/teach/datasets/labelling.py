"""Names of classes as callers write them, matched with those of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.errors import InvalidParameter, Violation
from schemas.teach.dataset import MAX_CLASSES, DatasetKind, class_key, class_name
from service.teach.datasets.records import StoredDataset

_SHOWN = 20


class BadLabels(ValueError):
    """Labels do not fit the dataset. ``str``: why."""


def known_labels(
    dataset: StoredDataset, labels: Sequence[str] | None, pointer: str
) -> tuple[str, ...] | None:
    """Return labels in the spelling of the dataset, sorted.

    Args:
        pointer: of the member of the request, such as ``/body/labels``.

    Raises:
        InvalidParameter: a class does not exist, or a photo of the dataset has one label.
    """
    if labels is None:
        return None
    spelling = {class_key(name): name for name in dataset.classes}
    try:
        for label in labels:
            if class_key(label) not in spelling:
                raise BadLabels(_unknown(label, dataset))
        return fitting(dataset.kind, {spelling[class_key(label)] for label in labels})
    except BadLabels as error:
        raise InvalidParameter(violations=(Violation(pointer, str(error)),)) from None


def fitting(kind: DatasetKind, labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels, sorted.

    Raises:
        BadLabels: the dataset is single, and there are none or several.
    """
    found = tuple(sorted(labels))
    if kind is DatasetKind.SINGLE and len(found) != 1:
        raise BadLabels(f"A photo of this dataset has one label, not {len(found)}")
    return found


class ClassResolver:
    """Resolves class names of an import; names that are alike but for case or spaces are one.

    Attributes:
        new: classes that the dataset does not have yet, in the order of their first use.
        merged: names as given to the ones used instead.
    """

    def __init__(self, dataset: StoredDataset) -> None:
        self._kind = dataset.kind
        self._spelling = {class_key(name): name for name in dataset.classes}
        self.new: list[str] = []
        self.merged: dict[str, str] = {}

    def labels(self, given: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return the labels of a photo; None: not labelled.

        Raises:
            BadLabels: a name is not a class name, or there are too many.
        """
        if given is None:
            return None
        return fitting(self._kind, {self._resolve(name) for name in given})

    def _resolve(self, given: str) -> str:
        try:
            name = class_name(given)
        except ValueError as error:
            raise BadLabels(str(error)) from None
        key = class_key(name)
        used = self._spelling.get(key)
        if used is None:
            if len(self._spelling) >= MAX_CLASSES:
                raise BadLabels(f"A dataset may have {MAX_CLASSES} classes")
            used = self._spelling[key] = name
            self.new.append(name)
        elif used != name:
            self.merged[given] = used
        return used


def _unknown(label: str, dataset: StoredDataset) -> str:
    if not dataset.classes:
        return f"The dataset has no class '{label}': add it to its classes first"
    shown = ", ".join(dataset.classes[:_SHOWN])
    more = len(dataset.classes) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return f"The dataset has no class '{label}'; its classes are {shown}{rest}"
