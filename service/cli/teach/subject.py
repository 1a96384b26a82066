"""The labelled photos that a command is about: a folder, or a dataset of the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.cli.shared.options import fail, tell

if TYPE_CHECKING:
    from service.settings import Settings
    from service.teach.datasets.opening import Datasets
    from service.teach.datasets.records import StoredPhoto
    from service.teach.runs.offline.command import Subject

SHOWN = 10
"""Photos left out that are printed."""


def subject_settings(config: Path | None, data_dir: Path | None, models: Path | None) -> Settings:
    """Return the settings of a command that reads photos and models."""
    from service.cli.shared.options import settings_with_models
    from service.cli.shared.service_settings import account_settings

    given = account_settings(config, data_dir)
    chosen = models or given.models
    return settings_with_models(config, data_dir=given.data_dir, models=chosen)


def read_subject(
    settings: Settings, source: str, foreign: Path | None, *, is_multi: bool
) -> tuple[Subject, list[str]]:
    """Return the photos of a folder or a dataset, and lines on those that are left out.

    Exits with a message if there is neither.
    """
    from service.teach.runs.offline.command import Subject
    from service.teach.runs.offline.photos import foreign_files, foreign_photo, read_folder

    others = (
        {} if foreign is None else {path: foreign_photo(path) for path in foreign_files(foreign)}
    )
    paths = {photo.id: path for path, photo in others.items()}
    if Path(source).exists():
        found = read_folder(
            Path(source),
            settings.limits.of_images,
            is_multi=is_multi,
            max_files=settings.teach.max_import_files,
        )
        paths |= found.files
        left_out = [f"{one.photo}: {one.reason}" for one in found.skipped]
        subject = Subject(
            dataset=found.dataset,
            photos=found.photos,
            foreign=tuple(others.values()),
            path_of=lambda photo: paths[photo.id],
        )
        return subject, left_out
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", source):
        fail(f"there is no folder {source}")
    return _stored(settings, source, tuple(others.values()), paths), []


def _stored(
    settings: Settings, name: str, foreign: tuple[StoredPhoto, ...], paths: dict[str, Path]
) -> Subject:
    from service.cli.teach.datasets.options import with_datasets
    from service.teach.runs.offline.command import Subject

    async def read(datasets: Datasets) -> Subject:
        dataset = await datasets.administration.get(name)
        photos = await datasets.photos.all(name)
        return Subject(
            dataset=dataset,
            photos=photos,
            foreign=foreign,
            path_of=lambda photo: paths.get(photo.id) or datasets.files.path(photo.digest),
        )

    return with_datasets(settings, read)


def tell_left_out(lines: Sequence[str]) -> None:
    """Print which photos are left out, and why, on standard error."""
    for line in lines[:SHOWN]:
        tell(line)
    if len(lines) > SHOWN:
        tell(f"and {len(lines) - SHOWN} more photos are left out")
