"""Builds the parts of datasets on an open store; for the server and for commands."""

from __future__ import annotations

from dataclasses import dataclass

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from service.core.engine.pool import WorkerPool
from service.settings import Settings
from service.teach.choosing.perceptual_hash import difference_hash
from service.teach.datasets.administration import DatasetAdministration, PhotoAdministration
from service.teach.datasets.directory import PhotoDirectory
from service.teach.datasets.exporting.exporter import Exporter
from service.teach.datasets.importing.archives import ArchiveImporter
from service.teach.datasets.importing.importer import Importer
from service.teach.datasets.importing.parts import PartReader
from service.teach.datasets.importing.reading import ImportLimits
from service.teach.datasets.photos.inspecting import PhotoInspector
from service.teach.datasets.photos.writing import PhotoWriter
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import PhotoFiles
from service.teach.datasets.store.photos import PhotoStore


@dataclass(frozen=True, slots=True)
class Datasets:
    """The objects of datasets that routes, commands and runs use.

    Attributes:
        store: rows of datasets; ``photos``: those of photos; ``files``: their bytes.
        administration: changes to datasets; ``photo_administration``: to photos.
        writer: adds and removes photos; ``call_on_removed`` lets others follow.
        directory: reads photos; its ``ranking`` orders them by a run.
        archives: imports what callers send.
    """

    store: DatasetStore
    photos: PhotoStore
    files: PhotoFiles
    administration: DatasetAdministration
    photo_administration: PhotoAdministration
    writer: PhotoWriter
    importer: Importer
    exporter: Exporter
    archives: ArchiveImporter
    directory: PhotoDirectory


def build_datasets(
    settings: Settings, database: Database, audit: Audit, metrics: Metrics, pool: WorkerPool
) -> Datasets:
    """Build the parts; nothing is read or written yet."""
    given, limits = settings.teach, settings.limits
    store, photos = DatasetStore(database), PhotoStore(database)
    files = PhotoFiles(settings.data_dir, keep_free_bytes=given.keep_free_bytes)
    writer = PhotoWriter(photos, files)
    inspector = PhotoInspector(pool, limits.of_images, difference_hash)
    administration = DatasetAdministration(store, writer, audit, metrics.teach, given)
    reader = PartReader(inspector, max_photo_bytes=limits.max_body_bytes)
    importer = Importer(store, photos, writer, reader, audit, metrics.teach)
    archives = ArchiveImporter(
        importer,
        ImportLimits(given.max_import_files, given.max_import_bytes),
        settings.data_dir / "teach",
        keep_free_bytes=given.keep_free_bytes,
    )
    return Datasets(
        store=store,
        photos=photos,
        files=files,
        administration=administration,
        photo_administration=PhotoAdministration(
            administration, photos, writer, inspector, audit, metrics.teach
        ),
        writer=writer,
        importer=importer,
        exporter=Exporter(store, photos, files, audit),
        archives=archives,
        directory=PhotoDirectory(photos, files, inspector),
    )
