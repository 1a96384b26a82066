"""Photos into the store and onto the disk, and out of both."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from observability.logs.logging import get_logger
from schemas.errors import Conflict, NotFound, ServiceError
from schemas.teach.dataset import PhotoSource, ServedAnswer
from service.teach.datasets.photos.inspecting import Inspected
from service.teach.datasets.records import PhotoIds, StoredPhoto
from service.teach.datasets.store.files import PhotoFiles, in_thread
from service.teach.datasets.store.photos import DatasetFull, NoDataset, PhotoStore

_PREFIXES = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo to add. ``captured``: seconds since the epoch; None: as its EXIF says."""

    image: bytes
    inspected: Inspected
    labels: tuple[str, ...] | None = None
    group: str | None = None
    captured: float | None = None
    source: PhotoSource = PhotoSource.UPLOAD
    answer: ServedAnswer | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Photos that a dataset no longer has.

    Attributes:
        dataset: its name; empty if only files without a row were found.
        digests: of the photos.
        unreferenced: those of them that no dataset has any more.
    """

    dataset: str
    digests: frozenset[str]
    unreferenced: frozenset[str]


OnAdded = Callable[[str, Collection[str]], Awaitable[None]]
"""Called after photos are added, with the dataset and their digests."""
OnRemoved = Callable[[Removal], Awaitable[None]]
"""Called after photos are removed, so that what was computed from them goes too."""


@dataclass(frozen=True, slots=True)
class Swept:
    """Result of a sweep. ``files``: removed; ``missing``: photos whose file is not there."""

    files: int
    missing: int


class PhotoWriter:
    """Adds and removes photos, rows and files together."""

    def __init__(
        self,
        photos: PhotoStore,
        files: PhotoFiles,
        *,
        on_removed: Sequence[OnRemoved] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._photos, self._files = photos, files
        self._on_removed = list(on_removed)
        self._on_added: list[OnAdded] = []
        self._clock, self._new_id = clock, PhotoIds(clock)

    def call_on_added(self, hook: OnAdded) -> None:
        """Have ``hook`` called after every addition."""
        self._on_added.append(hook)

    def call_on_removed(self, hook: OnRemoved) -> None:
        """Have ``hook`` called after every removal."""
        self._on_removed.append(hook)

    async def add(self, dataset: str, new: Sequence[NewPhoto], *, by: str) -> list[StoredPhoto]:
        """Add photos that the dataset does not have: all of them, or none.

        Returns:
            The photos as they are in the dataset now, in the same order.

        Raises:
            NotFound: there is no such dataset.
            Conflict: there would be more photos or bytes than the dataset may have.
            DiskFull, NotReady: nothing was added.
        """
        by_digest = {one.inspected.digest: one for one in new}
        images = {digest: one.image for digest, one in by_digest.items()}
        now = self._clock()
        rows = [self._row(dataset, one, now, by) for one in by_digest.values()]
        is_added = False
        try:
            # Files first: a process that dies between the two leaves a file, not a broken row.
            async with self._files.adding():
                await in_thread(lambda: self._files.write(images))
                await self._photos.add(dataset, rows)
            is_added = True
        except NoDataset:
            missing_dataset()
        except DatasetFull as full:
            raise Conflict(str(full)) from None
        finally:
            if not is_added:
                with suppress(ServiceError):  # the next sweep removes them
                    await self._forget_files(by_digest)
        found = await self._photos.by_digest(dataset, by_digest)
        for hook in self._on_added:
            await hook(dataset, list(found))
        return [found[one.inspected.digest] for one in new if one.inspected.digest in found]

    async def remove(self, dataset: str, photo_id: str) -> None:
        """Remove a photo: its row, its file unless another dataset has it, and what follows.

        Raises:
            NotFound: there is no such photo.
        """
        digest = await self._photos.remove(dataset, photo_id)
        if digest is None:
            missing_photo()
        await self.removed(dataset, [digest])

    async def removed(self, dataset: str, digests: Collection[str]) -> None:
        """Remove the files of photos whose rows are gone, and what was computed from them."""
        unreferenced = await self._forget_files(digests)
        await self._announce(Removal(dataset, frozenset(digests), unreferenced))

    async def sweep(self) -> Swept:
        """Remove files without a row, which a killed process has left; count rows without a file.

        Raises:
            NotReady: the store does not answer.
        """
        if self._files.is_empty:
            return Swept(0, 0)
        removed, parts, missing = set[str](), 0, 0
        present = set(await in_thread(lambda: list(self._files.prefixes())))
        for prefix in _PREFIXES:
            async with self._files.removing():
                rows = await self._photos.digests(prefix)
                if prefix in present:
                    left, files, count = await in_thread(
                        partial(self._files.keep_only, prefix, rows)
                    )
                    removed |= left
                    rows -= files
                    parts += count
            missing += len(rows)
        if removed:
            await self._announce(Removal("", frozenset(removed), frozenset(removed)))
        swept = Swept(len(removed) + parts, missing)
        if swept.files or swept.missing:
            get_logger("teach").warning(
                "photos swept", removed_files=swept.files, photos_without_file=swept.missing
            )
        return swept

    async def _forget_files(self, digests: Collection[str]) -> frozenset[str]:
        """Remove those of the files that no dataset refers to; return their digests."""
        async with self._files.removing():
            left = frozenset(set(digests) - await self._photos.referred(digests))
            await in_thread(lambda: self._files.remove(left))
        return left

    async def _announce(self, removal: Removal) -> None:
        for hook in self._on_removed:
            await hook(removal)

    def _row(self, dataset: str, new: NewPhoto, now: float, by: str) -> StoredPhoto:
        inspected, is_labelled = new.inspected, new.labels is not None
        return StoredPhoto(
            id=self._new_id(),
            dataset=dataset,
            digest=inspected.digest,
            hash64=inspected.hash64,
            width=inspected.width,
            height=inspected.height,
            bytes=len(new.image),
            added=now,
            added_by=by,
            source=new.source,
            captured=inspected.captured if new.captured is None else new.captured,
            group=new.group,
            labels=new.labels,
            labelled_by=by if is_labelled else None,
            labelled=now if is_labelled else None,
            answer=new.answer,
        )


def missing_dataset() -> NoReturn:
    """Raise ``NotFound`` for a dataset."""
    raise NotFound("There is no dataset with this name.")


def missing_photo() -> NoReturn:
    """Raise ``NotFound`` for a photo."""
    raise NotFound("There is no photo with this id in the dataset.")
