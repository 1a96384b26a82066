"""Photos of datasets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, select, update

from auth.store.database import Database
from schemas.teach.dataset import PhotoSource, ServedAnswer
from service.teach.datasets.records import StoredPhoto
from service.teach.datasets.store.labels import labels_json, labels_of
from service.teach.datasets.tables import DatasetRow, PhotoRow

PAGE = 1000
"""Rows read or written at a time: a statement has a limited number of parameters."""
_DIGESTS_AT_A_TIME = 500
_COLUMNS = (
    *(PhotoRow.id, PhotoRow.dataset, PhotoRow.digest, PhotoRow.hash64),
    *(PhotoRow.width, PhotoRow.height, PhotoRow.bytes, PhotoRow.added, PhotoRow.added_by),
    *(PhotoRow.source, PhotoRow.captured, PhotoRow.grp, PhotoRow.label),
    *(PhotoRow.labelled_by, PhotoRow.labelled, PhotoRow.answer),
)
"""Rows without the ORM, which takes several times as long for many of them."""


class NoDataset(Exception):
    """There is no dataset with this name."""


class DatasetFull(Exception):
    """The photos would exceed the quota of the dataset. ``args``: why, for the caller."""


@dataclass(frozen=True, slots=True)
class PhotoFilter:
    """Which photos of a dataset. ``label``: one that they have; ``is_labelled``: None for both."""

    label: str | None = None
    is_labelled: bool | None = None


class PhotoStore:
    """Photos of datasets. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def add(self, dataset: str, photos: Sequence[StoredPhoto]) -> None:
        """Add photos that the dataset does not have: all of them, or none.

        A photo whose digest another writer added meanwhile is left out; ``by_digest`` has it then.

        Raises:
            NoDataset: there is no such dataset.
            DatasetFull: there would be more photos or bytes than the dataset may have.
        """
        async with self._database.write() as session:
            # Other writers of the dataset wait for this row, so that the sums below hold.
            query = select(DatasetRow).where(DatasetRow.name == dataset).with_for_update()
            row = await session.scalar(query)
            if row is None:
                raise NoDataset
            insert = self._database.insert(PhotoRow).on_conflict_do_nothing(
                index_elements=["dataset", "digest"]
            )
            connection = await session.connection()  # the ORM takes milliseconds for each row
            await connection.execute(insert, [_values(photo) for photo in photos])
            of_dataset = select(func.count(), func.coalesce(func.sum(PhotoRow.bytes), 0))
            found = await session.execute(of_dataset.where(PhotoRow.dataset == dataset))
            count, size = found.one()
            if count > row.max_photos:
                message = f"The dataset may have {row.max_photos} photos, and would have more."
                raise DatasetFull(message)
            if int(size) > row.max_bytes:
                message = f"The dataset may have {row.max_bytes} bytes, and would have more."
                raise DatasetFull(message)

    async def get(self, dataset: str, photo_id: str) -> StoredPhoto | None:
        """Return a photo of a dataset, or None."""
        async with self._database.read() as session:
            query = select(*_COLUMNS).where(PhotoRow.id == photo_id, PhotoRow.dataset == dataset)
            row = (await session.execute(query)).first()
            return None if row is None else _stored(row)

    async def by_digest(self, dataset: str, digests: Collection[str]) -> dict[str, StoredPhoto]:
        """Return those photos of a dataset that have one of the digests, by digest."""
        found: dict[str, StoredPhoto] = {}
        wanted = list(digests)
        async with self._database.read() as session:
            for start in range(0, len(wanted), _DIGESTS_AT_A_TIME):
                some = wanted[start : start + _DIGESTS_AT_A_TIME]
                query = select(*_COLUMNS).where(
                    PhotoRow.dataset == dataset, PhotoRow.digest.in_(some)
                )
                found |= {row.digest: _stored(row) for row in await session.execute(query)}
        return found

    async def by_ids(
        self, dataset: str, photo_ids: Sequence[str], which: PhotoFilter
    ) -> list[StoredPhoto]:
        """Return those of the photos that the filter leaves, in no order."""
        found: list[StoredPhoto] = []
        for start in range(0, len(photo_ids), _DIGESTS_AT_A_TIME):
            some = photo_ids[start : start + _DIGESTS_AT_A_TIME]
            query = select(*_COLUMNS).where(*_conditions(dataset, which), PhotoRow.id.in_(some))
            found += await self._read(query)
        return found

    async def page(
        self, dataset: str, which: PhotoFilter, *, limit: int, after: str | None
    ) -> list[StoredPhoto]:
        """Return photos, the newest first; ``after``: those older than this id."""
        query = select(*_COLUMNS).where(*_conditions(dataset, which))
        if after is not None:
            query = query.where(PhotoRow.id < after)
        return await self._read(query.order_by(PhotoRow.id.desc()).limit(limit))

    async def count(self, dataset: str, which: PhotoFilter) -> int:
        """Return how many photos the filter leaves."""
        query = select(func.count()).select_from(PhotoRow).where(*_conditions(dataset, which))
        async with self._database.read() as session:
            return await session.scalar(query) or 0

    async def kept_unlabelled(self, dataset: str) -> list[tuple[str, int]]:
        """Return id and bytes of photos without a label that the server kept, the oldest first."""
        query = (
            select(PhotoRow.id, PhotoRow.bytes)
            .where(
                PhotoRow.dataset == dataset,
                PhotoRow.label.is_(None),
                PhotoRow.answer.is_not(None),
            )
            .order_by(PhotoRow.id)
        )
        async with self._database.read() as session:
            return [(row.id, row.bytes) for row in await session.execute(query)]

    async def all(self, dataset: str) -> list[StoredPhoto]:
        """Return all photos of a dataset, in the order of adding."""
        return [photo async for photo in self.each(dataset)]

    async def each(self, dataset: str) -> AsyncIterator[StoredPhoto]:
        """Yield all photos of a dataset in the order of adding, read in parts."""
        last = ""
        while True:
            query = (
                select(*_COLUMNS)
                .where(PhotoRow.dataset == dataset, PhotoRow.id > last)
                .order_by(PhotoRow.id)
                .limit(PAGE)
            )
            part = await self._read(query)
            for photo in part:
                yield photo
            if len(part) < PAGE:
                return
            last = part[-1].id

    async def set_labels(
        self, dataset: str, photo_ids: Iterable[str], labels: Collection[str] | None, *, by: str
    ) -> int:
        """Label photos; return how many there are. ``labels``: None removes the label."""
        return await self._update(
            dataset,
            photo_ids,
            label=labels_json(labels),
            labelled=None if labels is None else self._clock(),
            labelled_by=None if labels is None else by,
        )

    async def set_group(self, dataset: str, photo_ids: Iterable[str], group: str | None) -> int:
        """Change the group of photos; return how many there are."""
        return await self._update(dataset, photo_ids, grp=group)

    async def remove(self, dataset: str, photo_id: str) -> str | None:
        """Remove the row of a photo; return its digest, None if there is no such photo."""
        query = delete(PhotoRow).where(PhotoRow.dataset == dataset, PhotoRow.id == photo_id)
        async with self._database.write() as session:
            return await session.scalar(query.returning(PhotoRow.digest))

    async def referred(self, digests: Collection[str]) -> set[str]:
        """Return those of the digests that photos of any dataset have."""
        wanted, found = list(digests), set[str]()
        async with self._database.read() as session:
            for start in range(0, len(wanted), _DIGESTS_AT_A_TIME):
                some = wanted[start : start + _DIGESTS_AT_A_TIME]
                query = select(PhotoRow.digest).where(PhotoRow.digest.in_(some))
                found.update(await session.scalars(query))
        return found

    async def digests(self, prefix: str) -> set[str]:
        """Return the digests of all datasets that begin so."""
        query = select(PhotoRow.digest).where(
            PhotoRow.digest >= prefix, PhotoRow.digest < f"{prefix}g"
        )
        async with self._database.read() as session:
            return set(await session.scalars(query.distinct()))

    async def _read(self, query: Select[*tuple[Any, ...]]) -> list[StoredPhoto]:
        async with self._database.read() as session:
            return [_stored(row) for row in await session.execute(query)]

    async def _update(self, dataset: str, photo_ids: Iterable[str], **values: object) -> int:
        wanted, changed = list(photo_ids), 0
        async with self._database.write() as session:
            for start in range(0, len(wanted), _DIGESTS_AT_A_TIME):
                some = wanted[start : start + _DIGESTS_AT_A_TIME]
                query = (
                    update(PhotoRow)
                    .where(PhotoRow.dataset == dataset, PhotoRow.id.in_(some))
                    .values(**values)
                    .returning(PhotoRow.id)
                )
                changed += len((await session.execute(query)).all())
        return changed


def _conditions(dataset: str, which: PhotoFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [PhotoRow.dataset == dataset]
    if which.is_labelled is not None:
        has_label = PhotoRow.label.is_not(None)
        conditions.append(has_label if which.is_labelled else PhotoRow.label.is_(None))
    if which.label is not None:
        # One name as JSON has it, with its quotes: never a part of another name.
        name = (labels_json([which.label]) or "")[1:-1]
        conditions.append(PhotoRow.label.contains(name, autoescape=True))
    return conditions


def _values(photo: StoredPhoto) -> dict[str, object]:
    return {
        "id": photo.id,
        "dataset": photo.dataset,
        "digest": photo.digest,
        "hash64": None if photo.hash64 is None else f"{photo.hash64:016x}",
        "width": photo.width,
        "height": photo.height,
        "bytes": photo.bytes,
        "added": photo.added,
        "added_by": photo.added_by,
        "source": photo.source.value,
        "captured": photo.captured,
        "grp": photo.group,
        "label": labels_json(photo.labels),
        "labelled_by": photo.labelled_by,
        "labelled": photo.labelled,
        "answer": None if photo.answer is None else photo.answer.model_dump_json(),
    }


def _stored(row: Row[*tuple[Any, ...]]) -> StoredPhoto:
    """Return the photo of a row of ``_COLUMNS``."""
    (
        id_,
        dataset,
        digest,
        hash64,
        width,
        height,
        size,
        added,
        added_by,
        source,
        captured,
        group,
        labels,
        labelled_by,
        labelled,
        answer,
    ) = row
    return StoredPhoto(
        id=id_,
        dataset=dataset,
        digest=digest,
        hash64=None if hash64 is None else int(hash64, 16),
        width=width,
        height=height,
        bytes=size,
        added=added,
        added_by=added_by,
        source=PhotoSource(source),
        captured=captured,
        group=group,
        labels=labels_of(labels),
        labelled_by=labelled_by,
        labelled=labelled,
        answer=None if answer is None else ServedAnswer.model_validate_json(answer),
    )
