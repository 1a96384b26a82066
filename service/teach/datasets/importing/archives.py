"""Archives and tasks that callers send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from schemas.errors import Overloaded
from schemas.teach.dataset import ImportReport
from service.teach.datasets.importing.importer import Importer
from service.teach.datasets.importing.reading import ImportLimits, open_archive, tasks_alone
from service.teach.datasets.store.files import in_thread

MOST = 2
"""Received and imported at a time, by a process: each may take gigabytes of the disk."""
RETRY_SECONDS = 10.0


class ArchiveImporter:
    """Imports what callers send, a few archives at a time.

    Attributes:
        limits: of one archive, or one folder.
        folder: where archives wait on the disk.
        keep_free_bytes: of the disk.
    """

    def __init__(
        self, importer: Importer, limits: ImportLimits, folder: Path, *, keep_free_bytes: int
    ) -> None:
        self._importer, self.limits, self.folder = importer, limits, folder
        self.keep_free_bytes = keep_free_bytes
        self._taken = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn of an archive, from before it is received.

        Raises:
            Overloaded: all turns are taken.
        """
        if self._taken >= MOST:
            message = "Other archives are being imported: try again later."
            raise Overloaded(message, retry_after=RETRY_SECONDS)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def archive(
        self, dataset: str, file: BinaryIO, *, by: str, replaces_labels: bool
    ) -> ImportReport:
        """Import a zip file; see ``Importer.run``.

        Raises:
            InvalidRequest, PayloadTooLarge: see ``open_archive``.
        """
        opened = open_archive(file, self.limits)
        source = await in_thread(opened.__enter__)
        try:
            return await self._importer.run(dataset, source, by=by, replaces_labels=replaces_labels)
        finally:
            opened.__exit__(None, None, None)

    async def tasks(
        self, dataset: str, tasks: bytes, *, by: str, replaces_labels: bool
    ) -> ImportReport:
        """Import the labels of tasks for photos that are there; see ``Importer.run``.

        Raises:
            InvalidRequest: they are no tasks of Label Studio.
        """
        source = await in_thread(partial(tasks_alone, tasks))
        return await self._importer.run(dataset, source, by=by, replaces_labels=replaces_labels)
