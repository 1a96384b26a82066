"""Class names of sites: case, spaces, synonyms, and classes that one site alone has."""

from __future__ import annotations

import numpy as np

from service.federation.arithmetic.names import NameRules, agree, aligned
from service.teach.heads.sums import Sums


def test_case_spaces_and_synonyms_are_one_class() -> None:
    rules = NameRules(("Glass", "paper"), {"Verre": "glass"}, "keep")
    sites = {"a": {"glass": 5, "PAPER": 3}, "b": {"verre": 7, "pa per": 2}}
    found = agree(rules, sites)
    assert [(one.name, one.photos, one.sites) for one in found] == [
        ("Glass", 12, ["a", "b"]),
        ("paper", 5, ["a", "b"]),
    ]
    assert found[0].names == ["glass", "verre"]


def test_a_class_of_one_site_is_reported_and_kept_or_left_out() -> None:
    sites = {"a": {"glass": 5, "cork": 3}, "b": {"glass": 7}}
    for lone, kept in (("keep", True), ("drop", False)):
        rules = NameRules((), {}, "drop" if lone == "drop" else "keep")
        found = {one.name: one for one in agree(rules, sites)}
        assert found["cork"].sites == ["a"]
        assert (found["cork"].is_kept, found["glass"].is_kept) == (kept, True)


def test_without_agreed_classes_all_are_sorted() -> None:
    found = agree(NameRules((), {}, "keep"), {"b": {"paper": 1, "none": 0}, "a": {"glass": 1}})
    assert [one.name for one in found] == ["glass", "paper"]


def test_sums_are_brought_into_the_order_of_the_federation() -> None:
    rules = NameRules((), {"verre": "glass"}, "keep")
    sums = Sums(5, np.array([2.0, 3.0]), np.ones(2), np.eye(2), np.array([[1.0, 1], [2, 2]]))
    found = aligned(rules, ["glass", "metal", "paper"], ["Paper", "Verre"], sums)
    assert found is not None
    assert found.counts_K.tolist() == [3, 0, 2]
    assert found.xy_KD.tolist() == [[2, 2], [0, 0], [1, 1]]


def test_a_site_without_kept_classes_does_not_count() -> None:
    sums = Sums(5, np.array([5.0]), np.ones(2), np.eye(2), np.ones((1, 2)))
    assert aligned(NameRules((), {}, "keep"), ["glass", "paper"], ["cork"], sums) is None
