"""Heads of sums are those of the photos, sites that harm are named, sites are forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from schemas.federation import HeldOut
from service.federation.arithmetic.harm import harm, total
from service.federation.arithmetic.names import NameRules, aligned
from service.federation.arithmetic.solving import solve, solve_fast, squared_errors
from service.federation.computing import held_out_of
from service.federation.making import USUAL_TEMPERATURE, temperature_of
from service.teach.heads.ridge import Ridge, Rows
from service.teach.heads.sums import Sums
from service.teach.heads.targets import Targets
from tests.unit.federation.support import CLASSES, Photos, photos, sent, spread

RULES = NameRules(CLASSES, {}, "keep")


def federated(given: Photos, sites: Sequence[np.ndarray]) -> dict[str, Sums]:
    """Sums of each site that has photos, as the server aligns them."""
    found = {}
    for number, rows in enumerate(sites):
        if len(rows):
            one = sent(given, rows, f"s{number}")
            sums = aligned(RULES, CLASSES, one.header.classes, one.sums)
            assert sums is not None
            found[f"s{number}"] = sums
    return found


@pytest.mark.parametrize("sites", [2, 4, 8])
@pytest.mark.parametrize("how", ["alike", "skewed", "one class"])
def test_the_head_of_sums_is_that_of_all_photos(sites: int, how: str) -> None:
    given, unseen = photos(), photos(2000, seed=1)
    parts = federated(given, spread(given.labels_N, sites, how))
    whole = solve(total(list(parts.values())))
    count = len(given.labels_N)
    targets = Targets.of_labels(given.labels_N, len(CLASSES))
    rows = Rows(
        given.features_ND.astype(np.float64), targets.numbers(), np.ones(count), np.arange(count)
    )
    weight_KD, bias_K = Ridge(rows).head(whole.strength)
    assert np.allclose(whole.weight_KD, weight_KD, atol=1e-5)
    assert np.allclose(whole.bias_K, bias_K, atol=1e-5)
    ours = (unseen.features_ND @ whole.weight_KD.T + whole.bias_K).argmax(axis=1)
    theirs = (unseen.features_ND @ weight_KD.T + bias_K).argmax(axis=1)
    assert (ours == theirs).all()
    assert (ours == unseen.labels_N).mean() > 0.6


def test_the_strength_is_near_that_of_leave_one_out() -> None:
    given = photos(120)
    (sums,) = federated(given, [np.arange(120)]).values()
    targets = Targets.of_labels(given.labels_N, len(CLASSES))
    rows = Rows(
        given.features_ND.astype(np.float64), targets.numbers(), np.ones(120), np.arange(120)
    )
    ridge = Ridge(rows)

    def error(strength: float) -> float:
        return float(((ridge.held_out(strength) - targets.numbers()) ** 2).sum())

    chosen = solve(sums).strength
    assert error(chosen) < 1.02 * min(error(10.0**power) for power in np.arange(-4, 2.01, 0.5))


def test_both_solutions_of_sums_agree() -> None:
    (sums,) = federated(photos(), [np.arange(800)]).values()
    one = solve(sums)
    assert np.allclose(one.weight_KD, solve_fast(sums, one.strength).weight_KD, atol=1e-9)


def test_squared_errors_of_sums_are_those_of_photos() -> None:
    given = photos(300)
    (sums,) = federated(given, [np.arange(300)]).values()
    head = solve(sums)
    answers_NK = given.features_ND @ head.weight_KD.T + head.bias_K
    wanted_NK = Targets.of_labels(given.labels_N, len(CLASSES)).numbers()
    expected_K = ((answers_NK - wanted_NK) ** 2).sum(axis=0)
    assert np.allclose(squared_errors(head, sums), expected_K, rtol=1e-5)


def test_a_subtracted_site_leaves_the_head_of_the_others() -> None:
    parts = federated(photos(), spread(photos().labels_N, 4, "skewed"))
    whole = total(list(parts.values()))
    forgotten = solve(whole - parts["s1"], 0.01)
    others = solve(total([one for name, one in parts.items() if name != "s1"]), 0.01)
    assert np.abs(forgotten.weight_KD - others.weight_KD).max() < 1e-5
    assert np.abs(forgotten.bias_K - others.bias_K).max() < 1e-5


@pytest.mark.parametrize("fault", ["swapped", "shuffled", "noise"])
@pytest.mark.parametrize("how", ["alike", "skewed"])
def test_the_bad_site_of_five_is_named(fault: str, how: str) -> None:
    given = photos(1500)
    sites = spread(given.labels_N, 5, how)
    bad = max(range(5), key=lambda site: len(sites[site])) if how == "skewed" else 2
    features_ND, labels_N = given.features_ND.copy(), given.labels_N.copy()
    dice = np.random.default_rng(3)
    if fault == "swapped":
        labels_N[sites[bad]] = (labels_N[sites[bad]] + 1) % len(CLASSES)
    elif fault == "shuffled":
        labels_N[sites[bad]] = dice.integers(0, len(CLASSES), len(sites[bad]))
    else:
        features_ND[sites[bad]] = dice.normal(size=(len(sites[bad]), features_ND.shape[1])) * 9
    found = harm(federated(Photos(features_ND, labels_N), sites), 0.01)
    assert [one.site for one in found if one.is_harmful] == [f"s{bad}"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("how", ["alike", "skewed", "one class"])
def test_good_sites_are_not_named(how: str, seed: int) -> None:
    given = photos(1000, seed=seed)
    found = harm(federated(given, spread(given.labels_N, 5, how)), 0.01)
    assert not [one.site for one in found if one.is_harmful]


def test_sites_of_one_class_each_cannot_be_judged() -> None:
    given = photos()
    found = harm(federated(given, spread(given.labels_N, 4, "one class")), 0.01)
    assert [one.change for one in found] == [None] * 4


def test_the_temperature_is_the_mean_of_the_sites_by_photos() -> None:
    sites = [
        HeldOut(photos=30, right=20, temperature=0.1),
        None,
        HeldOut(photos=10, right=9, temperature=0.2),
    ]
    assert temperature_of(sites) == pytest.approx(0.1 * 2**0.25)
    assert temperature_of([None]) == USUAL_TEMPERATURE


def test_a_site_measures_its_own_head_on_photos_held_out() -> None:
    given = photos()
    found = held_out_of(given.features_ND, given.labels_N, np.arange(800))
    assert found is not None
    assert found.photos == 800
    assert 0.6 < found.right / 800 < 0.95
    assert 0.05 < found.temperature < 1
    alone = given.labels_N == 1
    assert (
        held_out_of(given.features_ND[alone], given.labels_N[alone], np.arange(sum(alone))) is None
    )
