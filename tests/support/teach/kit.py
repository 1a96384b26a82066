"""Datasets on a database and a folder, with photos that are quick to decode."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.teach.dataset import DatasetKind, ImportReport, NewDataset, NewPhotoOptions, Photo
from service.core.engine.pool import WorkerPool
from service.settings import Settings
from service.settings.teach import TeachSettings
from service.teach.datasets.importing.reading import open_source
from service.teach.datasets.opening import Datasets, build_datasets
from service.teach.datasets.photos.writing import Removal
from service.teach.datasets.store.files import in_thread
from tests.support.models.pictures import plain

NAME, ANNA = "bins", "anna"
Members = Mapping[str, bytes | str]
"""Files by name."""


def photo(number: int) -> bytes:
    """A small photo; each number has other bytes."""
    return plain((number % 256, number // 256 % 256, 99), (8, 6))


def archive(members: Members) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, data in members.items():
            written.writestr(name, data)
    return file.getvalue()


def write_tree(folder: Path, members: Members) -> Path:
    """Write files below a folder."""
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


@dataclass
class Kit:
    """Datasets, and what was announced as removed."""

    datasets: Datasets
    folder: Path
    removals: list[Removal]

    async def add_dataset(
        self, *classes: str, name: str = NAME, kind: DatasetKind = DatasetKind.SINGLE
    ) -> None:
        """Add an empty dataset."""
        new = NewDataset(name=name, kind=kind, classes=list(classes))
        await self.datasets.administration.add(new, by=ANNA)

    async def add_photo(
        self, number: int, *labels: str, name: str = NAME, group: str | None = None
    ) -> Photo:
        """Add a photo."""
        options = NewPhotoOptions(label=list(labels), group=group)
        administration = self.datasets.photo_administration
        return (await administration.add(name, photo(number), options, by=ANNA))[0]

    async def import_from(
        self, path: Path, *, name: str = NAME, replaces_labels: bool = False
    ) -> ImportReport:
        """Import a folder, a list or a zip file."""
        opened = open_source(path, self.datasets.archives.limits)
        source = await in_thread(partial(opened.__enter__))
        try:
            return await self.datasets.importer.run(
                name, source, by=ANNA, replaces_labels=replaces_labels
            )
        finally:
            opened.__exit__(None, None, None)

    async def labels(self, name: str = NAME) -> list[tuple[str, ...] | None]:
        """Labels of all photos, in the order of adding."""
        return [one.labels for one in await self.datasets.photos.all(name)]

    def files(self) -> list[Path]:
        """All files of photos."""
        return [path for path in (self.folder / "teach").rglob("*") if path.is_file()]


@contextmanager
def open_kit(database: Database, folder: Path, **limits: int) -> Iterator[Kit]:
    """Open datasets; ``limits``: settings of ``[teach]``."""
    given = {"keep_free_bytes": 0, **limits}
    settings = Settings(data_dir=folder, teach=TeachSettings.model_validate(given))
    pool, removals = WorkerPool("teach", 1), list[Removal]()
    metrics = Metrics()
    try:
        datasets = build_datasets(settings, database, Audit(metrics), metrics, pool)

        async def note(removal: Removal) -> None:
            removals.append(removal)

        datasets.writer.call_on_removed(note)
        yield Kit(datasets, folder, removals)
    finally:
        pool.close()
