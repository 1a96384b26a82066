"""Changes to datasets and photos, for HTTP and the command line.

Changes of datasets, imports, exports and removals are recorded in the security log; labels are in
the rows of the photos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from observability.logs.audit import Audit, AuditEvent
from observability.metrics.teach_metrics import TeachMetrics
from schemas.errors import Conflict, InvalidParameter, Violation
from schemas.teach.dataset import (
    Dataset,
    DatasetChange,
    NewDataset,
    NewPhotoOptions,
    Photo,
    PhotoChange,
    class_key,
)
from service.coordination.subjects import NameTaken, TooMany
from service.settings.teach import TeachSettings
from service.teach.datasets.labelling import known_labels
from service.teach.datasets.photos.inspecting import Inspected, PhotoInspector
from service.teach.datasets.photos.writing import (
    NewPhoto,
    PhotoWriter,
    missing_dataset,
    missing_photo,
)
from service.teach.datasets.records import StoredDataset, shown_dataset, shown_photo
from service.teach.datasets.store.datasets import ClassInUse, DatasetStore
from service.teach.datasets.store.photos import PhotoStore


class DatasetAdministration:
    """Administration of datasets. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting account.
    """

    def __init__(
        self,
        datasets: DatasetStore,
        writer: PhotoWriter,
        audit: Audit,
        metrics: TeachMetrics,
        limits: TeachSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._datasets, self._writer, self._audit = datasets, writer, audit
        self._metrics, self._limits, self._clock = metrics, limits, clock

    async def all(self) -> list[Dataset]:
        """Return the datasets, ordered by name."""
        return [
            shown_dataset(one, await self._datasets.contents(one.name))
            for one in await self._datasets.all()
        ]

    async def get(self, name: str) -> StoredDataset:
        """Return one dataset.

        Raises:
            NotFound: there is no such dataset.
        """
        return await self._datasets.get(name) or missing_dataset()

    async def show(self, name: str) -> Dataset:
        """Return one dataset and what is in it.

        Raises:
            NotFound: there is no such dataset.
        """
        return shown_dataset(await self.get(name), await self._datasets.contents(name))

    async def add(self, new: NewDataset, *, by: str) -> Dataset:
        """Add a dataset.

        Raises:
            Conflict: the name is taken, or there are too many datasets.
            InvalidParameter: a quota is larger than the server allows.
        """
        self._check_quotas(new.max_photos, new.max_bytes)
        added = StoredDataset(
            new.name,
            new.kind,
            tuple(new.classes),
            self._clock(),
            by,
            new.max_photos or self._limits.max_photos,
            new.max_bytes or self._limits.max_bytes,
        )
        try:
            await self._datasets.add(added, most=self._limits.max_datasets)
        except NameTaken:
            raise Conflict("A dataset with this name exists already.") from None
        except TooMany:
            message = f"There are {self._limits.max_datasets} datasets, as many as allowed."
            raise Conflict(message) from None
        self._audit.record(AuditEvent.DATASET_ADDED, account=by, dataset=new.name)
        return await self.show(new.name)

    async def change(self, name: str, change: DatasetChange, *, by: str) -> Dataset:
        """Change the classes or the quotas of a dataset.

        Raises:
            NotFound: there is no such dataset.
            Conflict: photos have the label of a class that is left out.
            InvalidParameter: a class to rename does not exist, or a quota is larger than allowed.
        """
        self._check_quotas(change.max_photos, change.max_bytes)
        dataset = await self.get(name)
        renamed = _renamed(dataset.classes, change.rename or {})
        try:
            is_there = await self._datasets.change(
                name,
                classes=change.classes,
                renamed=renamed,
                max_photos=change.max_photos,
                max_bytes=change.max_bytes,
            )
        except ClassInUse as error:
            message = f"Photos have the label '{error}': change their labels, or rename the class."
            raise Conflict(message) from None
        if not is_there:
            missing_dataset()
        changed = sorted(change.model_fields_set)
        self._audit.record(AuditEvent.DATASET_CHANGED, account=by, dataset=name, changed=changed)
        return await self.show(name)

    async def remove(self, name: str, *, by: str) -> None:
        """Remove a dataset, its photos and its runs.

        Raises:
            NotFound: there is no such dataset.
        """
        digests = await self._datasets.remove(name)
        if digests is None:
            missing_dataset()
        self._audit.record(
            AuditEvent.DATASET_REMOVED, account=by, dataset=name, photos=len(digests)
        )
        self._metrics.removed.inc(len(digests))
        await self._writer.removed(name, digests)

    def _check_quotas(self, photos: int | None, size: int | None) -> None:
        given = (
            ("max_photos", photos, self._limits.max_photos),
            ("max_bytes", size, self._limits.max_bytes),
        )
        faults = [
            Violation(f"/body/{name}", f"The server allows at most {most}")
            for name, value, most in given
            if value is not None and value > most
        ]
        if faults:
            raise InvalidParameter(violations=tuple(faults))


class PhotoAdministration:
    """Changes to single photos. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting account.
    """

    def __init__(
        self,
        administration: DatasetAdministration,
        photos: PhotoStore,
        writer: PhotoWriter,
        inspector: PhotoInspector,
        audit: Audit,
        metrics: TeachMetrics,
    ) -> None:
        self._datasets, self._photos, self._writer = administration, photos, writer
        self._inspector, self._audit, self._metrics = inspector, audit, metrics

    async def add(
        self, dataset: str, image: bytes, options: NewPhotoOptions, *, by: str
    ) -> tuple[Photo, bool]:
        """Add a photo, or label the same one if it is there without a label.

        Returns:
            The photo, and whether it is new.

        Raises:
            NotFound: there is no such dataset.
            InvalidParameter: a label is not a class of the dataset.
            UnsupportedImage, InvalidImage, ImageTooLarge: the photo cannot be decoded.
            Conflict: the dataset is full, or has the photo with another label.
            DiskFull: nothing was added.
        """
        stored = await self._datasets.get(dataset)
        labels = known_labels(stored, options.label or None, "/query/label")
        with self._metrics.adding(options.source):
            inspected = await self._inspector.inspect(image, dataset)
            digest = inspected.digest
            existing = (await self._photos.by_digest(dataset, [digest])).get(digest)
            if existing is None:
                new = NewPhoto(
                    image,
                    inspected,
                    labels,
                    options.group,
                    None if options.captured is None else options.captured.timestamp(),
                    options.source,
                    options.served,
                )
                added = await self._writer.add(dataset, [new], by=by)
                self._metrics.count_photos(options.source, "added", 1)
                if labels is not None:
                    self._metrics.labels.inc()
                return shown_photo(added[0] if added else missing_photo()), True
            await self._writer.restore({digest: image})
        self._metrics.count_photos(options.source, "duplicate", 1)
        if labels is None or existing.labels == labels:
            return shown_photo(existing), False
        if existing.labels is not None:
            has = ", ".join(existing.labels) or "no class"
            message = f"The dataset has this photo already, labelled '{has}': id {existing.id}."
            raise Conflict(message)
        await self._label(dataset, existing.id, labels, by=by)
        return await self._shown(dataset, existing.id), False

    async def inspect(self, image: bytes, dataset: str) -> Inspected:
        """Decode a photo on the worker pool; see ``PhotoInspector.inspect``."""
        return await self._inspector.inspect(image, dataset)

    async def change(self, dataset: str, photo_id: str, change: PhotoChange, *, by: str) -> Photo:
        """Change the labels or the group of a photo.

        Raises:
            NotFound: there is no such photo.
            InvalidParameter: a label is not a class of the dataset.
        """
        stored = await self._datasets.get(dataset)
        if change.has_labels:
            member = "label" if "label" in change.model_fields_set else "labels"
            labels = known_labels(stored, change.new_labels, f"/body/{member}")
            await self._label(dataset, photo_id, labels, by=by)
        if "group" in change.model_fields_set:
            await self._photos.set_group(dataset, [photo_id], change.group)
        return await self._shown(dataset, photo_id)

    async def remove(self, dataset: str, photo_id: str, *, by: str) -> None:
        """Remove a photo, and what was computed from it.

        Raises:
            NotFound: there is no such photo.
        """
        await self._writer.remove(dataset, photo_id)
        self._metrics.removed.inc()
        self._audit.record(AuditEvent.PHOTO_REMOVED, account=by, dataset=dataset, photo=photo_id)

    async def _label(
        self, dataset: str, photo_id: str, labels: Sequence[str] | None, *, by: str
    ) -> None:
        if not await self._photos.set_labels(dataset, [photo_id], labels, by=by):
            missing_photo()
        if labels is not None:
            self._metrics.labels.inc()

    async def _shown(self, dataset: str, photo_id: str) -> Photo:
        return shown_photo(await self._photos.get(dataset, photo_id) or missing_photo())


def _renamed(classes: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return old names to new ones; a new name that is alike to another class becomes that class.

    Raises:
        InvalidParameter: an old name is not a class.
    """
    spelling = {class_key(name): name for name in classes}
    wanted: dict[str, str] = {}
    for old, new in given.items():
        known = spelling.get(class_key(old))
        if known is None:
            fault = Violation("/body/rename", f"There is no class '{old}'")
            raise InvalidParameter(violations=(fault,))
        wanted[known] = new
    # The spelling of a class that stays goes before that of a new name.
    used = {class_key(name): name for name in classes if name not in wanted}
    return {old: used.setdefault(class_key(new), new) for old, new in wanted.items()}
