"""Publishes what a run wrote as a version: the candidate, the default if asked or if it is new."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from schemas.models import MANIFEST_FILE, ModelManifest
from schemas.serving import ServingPolicy
from schemas.teach.verdict import Verdict
from service.core.repository.publishing import Draft
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import promoted, with_default_kept, with_label
from service.teach.grafting.card import CARD_FILE, card

CANDIDATE = "candidate"
"""The label of the newest taught version of a model: servers load it, and callers may name it."""
_MAX_MANIFEST_BYTES = 4 * 2**20


def write_draft(draft: Draft, staged: Path, verdict: Verdict) -> None:
    """Move the files of a run into a draft, under the number that the draft has. Blocks."""
    text = (staged / MANIFEST_FILE).read_bytes()
    manifest = ModelManifest.model_validate_json(text)
    manifest = manifest.model_copy(update={"name": draft.name, "version": draft.version})
    for path in sorted(staged.iterdir()):
        if path.name != MANIFEST_FILE:
            shutil.move(path, draft.folder / path.name)
    (draft.folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    (draft.folder / CARD_FILE).write_text(card(manifest, verdict))


def as_candidate(
    policy: ServingPolicy, available: Collection[int], answering: int | None, version: int
) -> ServingPolicy:
    """Return the policy with a new version as the candidate beside the present default."""
    if not available:
        return with_label(policy, CANDIDATE, version)
    kept = with_default_kept(policy, answering, available)
    return with_label(kept, CANDIDATE, version)


def as_default(
    policy: ServingPolicy, available: Collection[int], answering: int | None, version: int
) -> ServingPolicy:
    """Return the policy with a new version as the default one."""
    if not available:
        return with_label(policy, CANDIDATE, version)
    return with_label(promoted(policy, version, answering), CANDIDATE, version)


def published_by(repository: Repository, model: str, run: str) -> int | None:
    """Return the version that a run has published; None if it has not. Blocks.

    A process may die between the publication and the note of it in the store.
    """
    try:
        versions = repository.versions(model)
    except ModelRefused:  # there is no such model
        return None
    for number, folder in sorted(versions.items(), reverse=True):
        try:
            with (folder / MANIFEST_FILE).open("rb") as file:
                text = file.read(_MAX_MANIFEST_BYTES)
            manifest = ModelManifest.model_validate_json(text)
        except (OSError, ValidationError):
            continue
        if manifest.base is not None and manifest.base.run == run:
            return number
    return None
