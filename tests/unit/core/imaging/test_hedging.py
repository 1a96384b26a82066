"""The most specific answer above its threshold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.models import ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.imaging.answer import Named, Summary
from service.core.imaging.hedging import Hedger, Hierarchy
from tests.support.models.tiny_model import colour_manifest

LABELS = ("tabby", "Egyptian cat", "beagle", "mug", "sky")
GROUPS = {
    "tabby": "cat",
    "Egyptian cat": "cat",
    "beagle": "dog",
    "cat": "animal",
    "dog": "animal",
    "mug": "tableware",
}


def hedger(
    *,
    label: float = 0.8,
    groups: tuple[float, ...] = (0.7, 0.6),
    unnamed: tuple[str, ...] = (),
) -> Hedger:
    manifest = ModelManifest.model_validate(
        colour_manifest(b"")
        | {
            "labels": LABELS,
            "groups": GROUPS,
            "abstain_below": label,
            "group_thresholds": groups,
            "unnamed": unnamed,
        }
    )
    return Hedger(manifest, LABELS)


def shares(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0.9, 0.05, 0.05, 0, 0), Summary("tabby", 0.9, 0, None)),
        ((0.5, 0.4, 0.1, 0, 0), Summary("cat", 0.9, 1, Named("tabby", 0.5))),
        ((0.3, 0.2, 0.4, 0.1, 0), Summary("animal", 0.9, 2, Named("beagle", 0.4))),
        ((0.2, 0.1, 0.2, 0.25, 0.25), None),
        # A label without a group counts as its own group at every level.
        ((0.1, 0.1, 0.05, 0, 0.75), Summary("sky", 0.75, 0, None)),
        ((0.1, 0.1, 0, 0.75, 0.05), Summary("tableware", 0.75, 1, Named("mug", 0.75))),
    ],
)
def test_finest_level_reaching_its_threshold_is_chosen(
    given: tuple[float, ...], expected: Summary | None
) -> None:
    assert hedger().summary(shares(*given)) == expected


def test_label_threshold_applies_to_all_levels_without_group_thresholds() -> None:
    assert hedger(groups=()).summary(shares(0.4, 0.35, 0.05, 0.1, 0.1)) == Summary(
        "animal", 0.8, 2, Named("tabby", 0.4)
    )


def test_summed_score_never_exceeds_one() -> None:
    summary = hedger().summary(shares(0.7, 0.3000002, 0, 0, 0))
    assert summary is not None
    assert summary.score == 1.0


def test_level_with_threshold_one_is_never_chosen() -> None:
    certain = shares(1, 0, 0, 0, 0)
    assert hedger(label=1).summary(certain) == Summary("cat", 1.0, 1, Named("tabby", 1.0))
    assert hedger(label=1, groups=(1,)).summary(certain) is None


@pytest.mark.parametrize(
    ("labels", "groups", "reason"),
    [
        (LABELS, {"tabbi": "cat"}, "'tabbi' is neither a label nor a group"),
        (LABELS, {"tabby": "mug"}, "'mug' is a label and cannot be a group too"),
        (("crane", "crane"), {"crane": "bird"}, "'crane' is there twice"),
    ],
)
def test_hierarchy_that_does_not_match_the_labels_is_refused(
    labels: tuple[str, ...], groups: dict[str, str], reason: str
) -> None:
    with pytest.raises(ManifestMismatch, match=reason):
        Hierarchy(labels, groups)


def test_cyclic_groups_are_refused() -> None:
    document = colour_manifest(b"") | {"groups": {"red": "a", "a": "b", "b": "a"}}
    with pytest.raises(ValueError, match="groups has a cycle: red -> a -> b -> a"):
        ModelManifest.model_validate(document)


def test_name_is_found_at_its_level() -> None:
    hierarchy = Hierarchy(LABELS, GROUPS)
    assert hierarchy.place("beagle") == (0, 2)
    assert hierarchy.place("dog") == (1, 1)
    assert hierarchy.place("animal") == (2, 0)
    assert hierarchy.place("fish") is None


def test_unnamed_label_counts_only_for_its_group() -> None:
    given = shares(0.9, 0.02, 0, 0, 0.08)
    expected = Summary("cat", 0.92, 1, None)
    assert hedger(unnamed=("tabby",)).summary(given) == expected


def test_unnamed_label_without_a_group_abstains() -> None:
    assert hedger(unnamed=("sky",)).summary(shares(0.02, 0, 0, 0, 0.98)) is None


def test_unknown_unnamed_label_is_refused() -> None:
    with pytest.raises(ManifestMismatch, match="unnamed: 'sea' is not a label"):
        hedger(unnamed=("sea",))


def test_at_least_one_label_must_stay_named() -> None:
    with pytest.raises(ManifestMismatch, match="lists every label"):
        hedger(unnamed=LABELS)


def test_mixed_groups_of_labels_and_groups_are_summed_whole() -> None:
    hierarchy = Hierarchy(
        ("otter", "tabby", "lynx"), {"otter": "animal", "tabby": "cat"} | {"cat": "animal"}
    )
    assert [level.names for level in hierarchy.levels] == [
        ("otter", "cat", "lynx"),
        ("animal", "lynx"),
    ]
    assert hierarchy.levels[1].heights == (2, 0)
    np.testing.assert_allclose(hierarchy.sums(shares(0.3, 0.6, 0.1), 1), [0.9, 0.1], rtol=1e-6)
