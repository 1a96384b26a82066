"""Reads and decodes the files of an import, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from schemas.errors import CallerError
from service.teach.datasets.importing.listing import Container, Found, Refused
from service.teach.datasets.importing.reading import Source
from service.teach.datasets.photos.inspecting import Inspected, PhotoInspector
from service.teach.datasets.store.files import in_thread

PART_FILES = 32
PART_BYTES = 32 * 2**20
"""Of files that are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file of an import.

    Attributes:
        error: why it cannot be imported.
        inspected: None also for a photo that only the dataset has: see ``Found``.
    """

    name: str
    found: Found | None = None
    image: bytes = b""
    inspected: Inspected | None = None
    error: CallerError | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the photo; empty if it cannot be imported."""
        if self.inspected is not None:
            return self.inspected.digest
        return (self.found.digest if self.found else None) or ""


class PartReader:
    """Reads files within a limit of bytes, and inspects them."""

    def __init__(self, inspector: PhotoInspector, *, max_photo_bytes: int) -> None:
        self._inspector, self._limit = inspector, max_photo_bytes

    async def parts(self, dataset: str, source: Source) -> AsyncIterator[list[ReadFile]]:
        """Yield all files of a source in order, in parts of bounded bytes."""
        for part in _parts(source):
            read = [one.file for one in part if isinstance(one, Found) and one.file is not None]
            images = await in_thread(lambda read=read: self._read(source.container, read))  # type: ignore[misc]
            work = (self._file(one, images, dataset) for one in part)
            yield list(await asyncio.gather(*work))

    def _read(self, container: Container, names: Sequence[str]) -> dict[str, bytes | CallerError]:
        images: dict[str, bytes | CallerError] = {}
        for name in names:
            try:
                images[name] = container.read(name, self._limit)
            except CallerError as error:
                images[name] = error
        return images

    async def _file(
        self, entry: Found | Refused, images: dict[str, bytes | CallerError], dataset: str
    ) -> ReadFile:
        if isinstance(entry, Refused):
            return ReadFile(entry.name, error=entry.error)
        if entry.file is None:
            return ReadFile(entry.name, entry)
        image = images[entry.file]
        if isinstance(image, CallerError):
            return ReadFile(entry.name, entry, error=image)
        try:
            return ReadFile(entry.name, entry, image, await self._inspector.inspect(image, dataset))
        except CallerError as error:
            return ReadFile(entry.name, entry, error=error)


def _parts(source: Source) -> Iterator[list[Found | Refused]]:
    part: list[Found | Refused] = []
    size = 0
    for entry in source.listing.entries:
        part.append(entry)
        if isinstance(entry, Found) and entry.file is not None:
            size += source.container.size(entry.file)
        if len(part) >= PART_FILES or size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
