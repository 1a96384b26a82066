"""Policies of taught versions, golden photos, and the search for what a run has published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from schemas.serving import ServingPolicy
from service.core.repository.repository import Repository
from service.core.repository.serving_policy import target
from service.teach.grafting.goldens import MAX_BYTES, MOST, Candidate, choose
from service.teach.runs.publishing import CANDIDATE, as_candidate, as_default, published_by
from tests.support.models.tiny_model import write_model

RUN = "0123456789abcdef0123"


def test_the_first_version_of_a_model_is_its_default() -> None:
    policy = as_candidate(ServingPolicy(), (), None, 1)
    assert policy.enabled
    assert (target(policy, [1]), policy.labels) == (1, {CANDIDATE: 1})


def test_a_later_version_leaves_the_default_alone() -> None:
    policy = as_candidate(ServingPolicy(), [1, 2], 2, 3)
    assert (target(policy, [1, 2, 3]), policy.labels) == (2, {CANDIDATE: 3})
    labelled = ServingPolicy(default="stable", labels={"stable": 1, CANDIDATE: 2})
    policy = as_candidate(labelled, [1, 2], 1, 3)
    assert (target(policy, [1, 2, 3]), policy.labels) == (1, {"stable": 1, CANDIDATE: 3})


def test_a_promoted_version_can_be_rolled_back() -> None:
    policy = as_default(ServingPolicy(), [1, 2], 2, 3)
    assert target(policy, [1, 2, 3]) == 3
    assert [one.version for one in policy.history] == [2]


def test_what_a_run_has_published_is_found_by_its_id(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    name = folder.parent.name
    repository = Repository(tmp_path)
    assert published_by(repository, name, RUN) is None
    assert published_by(repository, "absent", RUN) is None
    manifest = folder / "manifest.json"
    document = json.loads(manifest.read_text())
    origin = {"name": "everyday", "version": 1, "sha256": "0" * 64, "tensor": "mean", "run": RUN}
    manifest.write_text(json.dumps({**document, "base": origin}))
    assert published_by(repository, name, RUN) == int(folder.name)
    assert published_by(repository, name, "f" * 20) is None
    manifest.write_text("{}")
    assert published_by(repository, name, RUN) is None


def test_golden_photos_are_the_surest_of_each_class_and_one_that_is_less_sure() -> None:
    scores = np.array([[0.99, 0.01], [0.95, 0.05], [0.85, 0.15], [0.4, 0.6], [0.1, 0.9]])
    photos = [Candidate(place, int(place > 2), 1000) for place in range(5)]
    assert [one.place for one in choose(photos, scores)] == [0, 4, 2]


def test_large_photos_are_golden_only_where_there_are_no_others() -> None:
    scores = np.array([[0.99, 0.01], [0.9, 0.1], [0.1, 0.9]])
    sizes = (MAX_BYTES + 1, 1000, MAX_BYTES + 1)
    photos = [Candidate(place, int(place > 1), size) for place, size in enumerate(sizes)]
    assert [one.place for one in choose(photos, scores)] == [1, 2]


def test_the_number_of_golden_photos_is_bounded() -> None:
    photos = [Candidate(place, place, 1000) for place in range(40)]
    assert len(choose(photos, np.eye(40))) == MOST
