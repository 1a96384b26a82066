"""Exports datasets, photo by photo: memory does not grow with the dataset.

A photo that is removed meanwhile, or whose file is missing, is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

from observability.logs.audit import Audit, AuditEvent
from schemas.teach.dataset import ExportFormat
from service.teach.datasets.exporting.paths import path_of
from service.teach.datasets.exporting.rows import Predictions, csv_header, csv_row, task
from service.teach.datasets.exporting.zip_stream import ZipStream
from service.teach.datasets.importing.csv_list import NAME
from service.teach.datasets.photos.types import HEAD_BYTES
from service.teach.datasets.photos.writing import missing_dataset
from service.teach.datasets.records import StoredPhoto
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import PhotoFiles, PhotoMissing, in_thread
from service.teach.datasets.store.photos import PhotoStore

OnPhoto = Callable[[], None]


class Exporter:
    """Exports datasets as streams of bytes."""

    def __init__(
        self, datasets: DatasetStore, photos: PhotoStore, files: PhotoFiles, audit: Audit
    ) -> None:
        self._datasets, self._photos, self._files = datasets, photos, files
        self._audit = audit

    async def open(
        self,
        dataset: str,
        format_: ExportFormat,
        *,
        by: str,
        predictions: Predictions | None = None,
        on_photo: OnPhoto = lambda: None,
    ) -> AsyncIterator[bytes]:
        """Return the pieces of an export.

        Args:
            predictions: of a model, by id of the photo; for CSV and Label Studio.
            on_photo: called after each photo.

        Raises:
            NotFound: there is no such dataset.
        """
        if await self._datasets.get(dataset) is None:
            missing_dataset()
        self._audit.record(AuditEvent.DATASET_EXPORTED, account=by, dataset=dataset, format=format_)
        if format_ is ExportFormat.FOLDERS:
            return self._folders(dataset, on_photo)
        if format_ is ExportFormat.CSV:
            return self._csv(dataset, predictions, on_photo)
        return self._tasks(dataset, predictions, on_photo)

    async def _folders(self, dataset: str, on_photo: OnPhoto) -> AsyncIterator[bytes]:
        archive, lines = ZipStream(), [csv_header(None)]
        async for photo in self._photos.each(dataset):
            try:
                image = await in_thread(partial(self._files.read, photo.digest))
            except PhotoMissing:
                continue
            path = path_of(photo, image[:HEAD_BYTES])
            lines.append(csv_row(photo, path, None))
            yield await in_thread(partial(archive.add, path, image))
            on_photo()
        listed = "".join(lines).encode()
        yield await in_thread(partial(archive.add, NAME, listed, is_compressed=True))
        yield archive.end()

    async def _csv(
        self, dataset: str, predictions: Predictions | None, on_photo: OnPhoto
    ) -> AsyncIterator[bytes]:
        yield csv_header(predictions).encode()
        async for photo, path in self._paths(dataset):
            yield csv_row(photo, path, predictions).encode()
            on_photo()

    async def _tasks(
        self, dataset: str, predictions: Predictions | None, on_photo: OnPhoto
    ) -> AsyncIterator[bytes]:
        separator = "[\n"
        async for photo, path in self._paths(dataset):
            yield (separator + task(photo, path, dataset, predictions)).encode()
            separator = ",\n"
            on_photo()
        yield b"[]\n" if separator == "[\n" else b"\n]\n"

    async def _paths(self, dataset: str) -> AsyncIterator[tuple[StoredPhoto, str]]:
        async for photo in self._photos.each(dataset):
            try:
                head = await in_thread(partial(self._files.head, photo.digest, HEAD_BYTES))
            except PhotoMissing:
                continue
            yield photo, path_of(photo, head)
