"""Agrees on class names: how sites write them, synonyms, and classes that one site alone has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.federation import AgreedClass, LoneRule
from schemas.teach.dataset import class_key
from service.teach.heads.sums import Sums


@dataclass(frozen=True, slots=True)
class NameRules:
    """What was agreed.

    Attributes:
        classes: the classes, in order; empty: all that sites name.
        synonyms: from other names to names of classes.
        lone: what becomes of a class that one site alone has.
    """

    classes: tuple[str, ...]
    synonyms: Mapping[str, str]
    lone: LoneRule

    def meant(self, name: str) -> str:
        """Return the name of the class that a site means: the agreed one, or the site's own."""
        by_key = {class_key(one): meant for one, meant in self.synonyms.items()}
        name = by_key.get(class_key(name), name)
        agreed = {class_key(one): one for one in self.classes}
        return agreed.get(class_key(name), name)

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Return the names that mean none of the classes; empty if these are not given."""
        if not self.classes:
            return []
        return [name for name in names if self.meant(name) not in self.classes]

    def same(self, names: Sequence[str]) -> tuple[str, str] | None:
        """Return two names of one site that mean the same class, if there are any."""
        seen: dict[str, str] = {}
        for name in names:
            key = class_key(self.meant(name))
            if key in seen:
                return seen[key], name
            seen[key] = name
        return None


def agree(rules: NameRules, sites: Mapping[str, Mapping[str, int]]) -> tuple[AgreedClass, ...]:
    """Return the classes of all sites, in the agreed order, else sorted.

    Args:
        sites: photos by class, under the site's own names, by site.
    """
    shown: dict[str, str] = {class_key(name): name for name in rules.classes}
    photos: dict[str, int] = {}
    having: dict[str, list[str]] = {}
    written: dict[str, set[str]] = {}
    for site in sorted(sites):
        for name, count in sites[site].items():
            if not count:
                continue
            meant = rules.meant(name)
            key = class_key(meant)
            shown.setdefault(key, meant)
            photos[key] = photos.get(key, 0) + count
            having.setdefault(key, []).append(site)
            written.setdefault(key, set()).add(name)
    order = {class_key(name): place for place, name in enumerate(rules.classes)}
    keys = sorted(photos, key=lambda key: (order.get(key, len(order)), shown[key]))
    return tuple(
        AgreedClass(
            name=shown[key],
            photos=photos[key],
            sites=having[key],
            names=sorted(written[key] - {shown[key]}),
            is_kept=rules.lone == "keep" or len(having[key]) > 1,
        )
        for key in keys
    )


def aligned(
    rules: NameRules, classes: Sequence[str], names: Sequence[str], sums: Sums
) -> Sums | None:
    """Return the sums of a site with the classes of the federation in their order.

    Args:
        classes: all classes of the federation, also those that are not kept.
        names: the site's own, in the order of ``sums``.

    Returns:
        None if none of its classes is among them.
    """
    places = {class_key(name): place for place, name in enumerate(classes)}
    counts_K = np.zeros(len(classes))
    xy_KD = np.zeros((len(classes), len(sums.x_D)))
    for row, name in enumerate(names):
        place = places.get(class_key(rules.meant(name)))
        if place is not None:
            counts_K[place] += sums.counts_K[row]
            xy_KD[place] += sums.xy_KD[row]
    if not counts_K.any():
        return None
    return Sums(sums.photos, counts_K, sums.x_D, sums.xx_DD, xy_KD)
