"""Datasets by name."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth.store.database import Database
from schemas.teach.dataset import DatasetKind
from service.coordination.subjects import NameTaken, TooMany
from service.teach.datasets.records import Contents, StoredDataset
from service.teach.datasets.store.labels import labels_json, labels_of
from service.teach.datasets.tables import DatasetRow, PhotoRow


class ClassInUse(Exception):
    """Photos have the label of a class that is to go. ``args``: its name."""


class DatasetStore:
    """Datasets by name. Every method raises ``NotReady`` if the database does not answer."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._database, self._clock = database, clock

    async def all(self) -> list[StoredDataset]:
        """Return the datasets, ordered by name."""
        async with self._database.read() as session:
            rows = await session.scalars(select(DatasetRow).order_by(DatasetRow.name))
            return [_stored(row) for row in rows]

    async def get(self, name: str) -> StoredDataset | None:
        """Return the dataset with that name, or None."""
        async with self._database.read() as session:
            row = await session.get(DatasetRow, name)
            return _stored(row) if row else None

    async def contents(self, name: str) -> Contents:
        """Return what is in a dataset; zeros if there is none."""
        query = (
            select(PhotoRow.label, func.count(), func.coalesce(func.sum(PhotoRow.bytes), 0))
            .where(PhotoRow.dataset == name)
            .group_by(PhotoRow.label)
        )
        photos = labelled = size = 0
        by_class: dict[str, int] = {}
        async with self._database.read() as session:
            for label, count, its_bytes in await session.execute(query):
                photos, size = photos + count, size + int(its_bytes)
                labels = labels_of(label)
                if labels is not None:
                    labelled += count
                for one in labels or ():
                    by_class[one] = by_class.get(one, 0) + count
        return Contents(photos, labelled, size, by_class)

    async def add(self, dataset: StoredDataset, *, most: int) -> None:
        """Add a dataset.

        Args:
            most: number of datasets allowed.

        Raises:
            NameTaken: the name is taken.
            TooMany: there are ``most`` already.
        """
        row = DatasetRow(
            name=dataset.name,
            kind=dataset.kind.value,
            classes=json.dumps(dataset.classes),
            created=dataset.created,
            created_by=dataset.created_by,
            max_photos=dataset.max_photos,
            max_bytes=dataset.max_bytes,
        )
        try:
            async with self._database.write() as session:
                session.add(row)
                await session.flush()
                count = await session.scalar(select(func.count()).select_from(DatasetRow))
                if count is not None and count > most:
                    raise TooMany
        except IntegrityError as error:
            raise NameTaken from error

    async def add_classes(self, name: str, classes: Sequence[str]) -> bool:
        """Append classes that are not there; return False if there is no such dataset."""
        async with self._database.write() as session:
            row = await _locked(session, name)
            if row is None:
                return False
            known: list[str] = json.loads(row.classes)
            row.classes = json.dumps(known + [one for one in classes if one not in known])
        return True

    async def change(
        self,
        name: str,
        *,
        classes: Sequence[str] | None = None,
        renamed: Mapping[str, str] | None = None,
        max_photos: int | None = None,
        max_bytes: int | None = None,
    ) -> bool:
        """Change a dataset; return False if there is no such dataset.

        Args:
            classes: all classes, after ``renamed``.
            renamed: old names to new ones, in the classes and in the labels of all photos.

        Raises:
            ClassInUse: photos have the label of a class that is not among ``classes``.
        """
        async with self._database.write() as session:
            row = await _locked(session, name)
            if row is None:
                return False
            known: list[str] = json.loads(row.classes)
            if renamed:
                known = list(dict.fromkeys(renamed.get(one, one) for one in known))
                await _rename(session, name, renamed)
            if classes is not None:
                await _require_unused(session, name, classes)
                known = list(classes)
            row.classes = json.dumps(known)
            if max_photos is not None:
                row.max_photos = max_photos
            if max_bytes is not None:
                row.max_bytes = max_bytes
        return True

    async def remove(self, name: str) -> list[str] | None:
        """Remove a dataset, its photos and runs.

        Returns:
            Digests of the photos that it had; None if there is no such dataset.
        """
        async with self._database.write() as session:
            if await _locked(session, name) is None:
                return None
            query = select(PhotoRow.digest).where(PhotoRow.dataset == name)
            digests = list(await session.scalars(query))
            await session.execute(delete(DatasetRow).where(DatasetRow.name == name))
        return digests


async def _locked(session: AsyncSession, name: str) -> DatasetRow | None:
    """Return the row; other writers of the dataset wait until the transaction ends."""
    query = select(DatasetRow).where(DatasetRow.name == name).with_for_update()
    return await session.scalar(query)


async def _used(session: AsyncSession, name: str) -> list[str]:
    query = select(PhotoRow.label).where(PhotoRow.dataset == name, PhotoRow.label.is_not(None))
    return [one for one in await session.scalars(query.distinct()) if one is not None]


async def _rename(session: AsyncSession, name: str, renamed: Mapping[str, str]) -> None:
    for old in await _used(session, name):
        labels = labels_of(old) or ()
        new = labels_json({renamed.get(one, one) for one in labels})
        if new != old:
            rows = PhotoRow.dataset == name, PhotoRow.label == old
            # Each text of labels in one step: a name may be both old and new.
            await session.execute(update(PhotoRow).where(*rows).values(label=f"~{new}"))
    marked = PhotoRow.dataset == name, PhotoRow.label.startswith("~")
    await session.execute(
        update(PhotoRow).where(*marked).values(label=func.substr(PhotoRow.label, 2))
    )


async def _require_unused(session: AsyncSession, name: str, classes: Sequence[str]) -> None:
    for text in await _used(session, name):
        for one in labels_of(text) or ():
            if one not in classes:
                raise ClassInUse(one)


def _stored(row: DatasetRow) -> StoredDataset:
    return StoredDataset(
        row.name,
        DatasetKind(row.kind),
        tuple(json.loads(row.classes)),
        row.created,
        row.created_by,
        row.max_photos,
        row.max_bytes,
    )
