"""Builds the parts of datasets on an open store; for the server and for commands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.teach.dataset import ImportReport
from service.core.engine.pool import WorkerPool
from service.settings import Settings
from service.teach.datasets.administration import DatasetAdministration, PhotoAdministration
from service.teach.datasets.directory import PhotoDirectory
from service.teach.datasets.exporting.exporter import Exporter
from service.teach.datasets.importing.importer import Importer
from service.teach.datasets.importing.parts import PartReader
from service.teach.datasets.importing.reading import (
    ImportLimits,
    open_archive,
    tasks_alone,
)
from service.teach.datasets.photos.inspecting import PhotoInspector
from service.teach.datasets.photos.writing import PhotoWriter
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import PhotoFiles, in_thread
from service.teach.datasets.store.photos import PhotoStore


@dataclass(frozen=True, slots=True)
class Datasets:
    """The objects of datasets that routes, commands and runs use.

    Attributes:
        store: rows of datasets; ``photos``: those of photos; ``files``: their bytes.
        administration: changes to datasets; ``photo_administration``: to photos.
        writer: adds and removes photos; ``call_on_removed`` lets others follow.
        directory: reads photos; its ``ranking`` orders them by a run.
        import_limits: of one archive, or one folder.
        folder: where archives may wait on the disk.
    """

    store: DatasetStore
    photos: PhotoStore
    files: PhotoFiles
    administration: DatasetAdministration
    photo_administration: PhotoAdministration
    writer: PhotoWriter
    importer: Importer
    exporter: Exporter
    import_limits: ImportLimits
    directory: PhotoDirectory
    folder: Path

    async def import_archive(
        self, dataset: str, file: BinaryIO, *, by: str, replaces_labels: bool = False
    ) -> ImportReport:
        """Import a zip file; see ``Importer.run``.

        Raises:
            InvalidRequest, PayloadTooLarge: see ``open_archive``.
        """
        opened = open_archive(file, self.import_limits)
        source = await in_thread(opened.__enter__)
        try:
            return await self.importer.run(dataset, source, by=by, replaces_labels=replaces_labels)
        finally:
            opened.__exit__(None, None, None)

    async def import_tasks(
        self, dataset: str, tasks: bytes, *, by: str, replaces_labels: bool = False
    ) -> ImportReport:
        """Import the labels of tasks for photos that are there; see ``Importer.run``.

        Raises:
            InvalidRequest: they are no tasks of Label Studio.
        """
        source = await in_thread(partial(tasks_alone, tasks))
        return await self.importer.run(dataset, source, by=by, replaces_labels=replaces_labels)


def build_datasets(
    settings: Settings, database: Database, audit: Audit, metrics: Metrics, pool: WorkerPool
) -> Datasets:
    """Build the parts; nothing is read or written yet."""
    given, limits = settings.teach, settings.limits
    store, photos = DatasetStore(database), PhotoStore(database)
    files = PhotoFiles(settings.data_dir, keep_free_bytes=given.keep_free_bytes)
    writer = PhotoWriter(photos, files)
    inspector = PhotoInspector(pool, limits.of_images)
    administration = DatasetAdministration(store, writer, audit, metrics.teach, given)
    reader = PartReader(inspector, max_photo_bytes=limits.max_body_bytes)
    return Datasets(
        store=store,
        photos=photos,
        files=files,
        administration=administration,
        photo_administration=PhotoAdministration(
            administration, photos, writer, inspector, audit, metrics.teach
        ),
        writer=writer,
        importer=Importer(store, photos, writer, reader, audit, metrics.teach),
        exporter=Exporter(store, photos, files, audit),
        import_limits=ImportLimits(given.max_import_files, given.max_import_bytes),
        directory=PhotoDirectory(photos, files, inspector),
        folder=settings.data_dir / "teach",
    )
