"""A verdict for any data: counts add up, and nothing is said that the data cannot say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.teach.verdict import Verdict
from service.teach.heads.fitting import Targets
from service.teach.verdict.verdict import judge
from tests.unit.teach.verdict.support import fitted_of

SIZES = {"photos": st.integers(0, 40), "classes": st.integers(1, 6), "groups": st.integers(1, 40)}


def verdict_of(seed: int, photos: int, classes: int, groups: int, *, is_multi: bool) -> Verdict:
    rng = np.random.default_rng(seed)
    if is_multi:
        known = rng.random((photos, classes)) < 0.9
        targets = Targets.of_presence(rng.random((photos, classes)) < 0.4, known)
    else:
        targets = Targets.of_labels(rng.integers(0, classes, photos), classes)
    logits = targets.present_NK * rng.normal(3, 2, (photos, 1)) + rng.normal(size=(photos, classes))
    logits[rng.random(photos) < 0.1] = (np.nan, np.inf, -np.inf)[seed % 3]
    features = rng.normal(size=(photos, 2, 5)).astype(np.float32)
    if seed % 4 == 0:
        features[:] = 1.0
    return judge(
        fitted_of(logits, targets),
        targets,
        rng.integers(0, groups, photos),
        [str(place) for place in range(photos)],
        [f"class {place}" for place in range(classes)],
        features_NVD=features,
    )


@settings(deadline=None)
@given(st.integers(0, 2**31), SIZES["photos"], SIZES["classes"], SIZES["groups"])
def test_single_labels(seed: int, photos: int, classes: int, groups: int) -> None:
    found = verdict_of(seed, photos, classes, groups, is_multi=False)
    table = np.array(found.confusion)
    assert table.sum() == found.accuracy.photos <= photos
    assert np.trace(table) == found.accuracy.right
    assert [one.held_out for one in found.per_class] == table.sum(axis=1).tolist()
    assert [one.answered for one in found.per_class] == table.sum(axis=0).tolist()
    assert len(found.suspects) <= found.accuracy.photos - found.accuracy.right
    check(found)


@settings(deadline=None)
@given(st.integers(0, 2**31), SIZES["photos"], SIZES["classes"], SIZES["groups"])
def test_several_labels(seed: int, photos: int, classes: int, groups: int) -> None:
    found = verdict_of(seed, photos, classes, groups, is_multi=True)
    table = np.array(found.confusion)
    assert [one.right for one in found.per_class] == table[:, 0].tolist()
    assert [one.held_out for one in found.per_class] == table[:, :2].sum(axis=1).tolist()
    assert [one.answered for one in found.per_class] == table[:, [0, 2]].sum(axis=1).tolist()
    check(found)


def check(found: Verdict) -> None:
    accuracy = found.accuracy
    assert found.advice
    assert (accuracy.interval is None) == (accuracy.unknown is not None)
    if accuracy.interval is None:
        assert not found.enough
        assert found.curve == ()
        assert found.forecast is None
    else:
        assert accuracy.value is not None
        assert accuracy.interval.low <= accuracy.value + 1e-9
        assert accuracy.value - 1e-9 <= accuracy.interval.high
        assert found.curve[-1].photos == accuracy.photos
    assert Verdict.model_validate_json(found.model_dump_json()) == found
