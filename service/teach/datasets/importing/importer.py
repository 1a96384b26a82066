"""Imports photos and labels into a dataset, in parts that are each complete.

A killed import has added some of the parts; the same import again finds those as duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from observability.logs.audit import Audit, AuditEvent
from observability.metrics.teach_metrics import TeachMetrics
from schemas.errors import Conflict, InvalidRequest
from schemas.teach.dataset import ImportReport, PhotoSource
from service.teach.datasets.importing.parts import PartReader, ReadFile
from service.teach.datasets.importing.reading import Source
from service.teach.datasets.importing.tally import Tally
from service.teach.datasets.labelling import BadLabels, ClassResolver
from service.teach.datasets.photos.writing import NewPhoto, PhotoWriter, missing_dataset
from service.teach.datasets.records import StoredPhoto
from service.teach.datasets.store.datasets import DatasetStore
from service.teach.datasets.store.files import DiskFull
from service.teach.datasets.store.photos import PhotoStore

Progress = Callable[[int, int], None]
"""Called with the files done and the files of the import."""


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A file of a part, with the labels that its photo is to have."""

    file: ReadFile
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class _Author:
    """Who imports, and whether the labels replace those of photos that are there."""

    name: str
    replaces_labels: bool


class Importer:
    """Imports into datasets. Bad files are reported, and never stop an import."""

    def __init__(
        self,
        datasets: DatasetStore,
        photos: PhotoStore,
        writer: PhotoWriter,
        reader: PartReader,
        audit: Audit,
        metrics: TeachMetrics,
    ) -> None:
        self._datasets, self._photos, self._writer = datasets, photos, writer
        self._reader, self._audit, self._metrics = reader, audit, metrics

    async def run(
        self,
        dataset: str,
        source: Source,
        *,
        by: str,
        replaces_labels: bool = False,
        on_progress: Progress = lambda _done, _of: None,
    ) -> ImportReport:
        """Import everything that a source has.

        Args:
            replaces_labels: photos that have another label get the one of the import; else they
                keep theirs, and the report lists them.

        Raises:
            NotFound: there is no such dataset.
            Conflict: the dataset is full; what fits is imported.
            DiskFull, NotReady: what was imported so far stays.
        """
        with self._metrics.importing(source.listing.format):
            report = await self._run(dataset, source, _Author(by, replaces_labels), on_progress)
        self._audit.record(
            AuditEvent.DATASET_IMPORTED,
            account=by,
            dataset=dataset,
            added=report.added,
            labelled=report.labelled,
        )
        return report

    async def _run(
        self, name: str, source: Source, author: _Author, on_progress: Progress
    ) -> ImportReport:
        dataset = await self._datasets.get(name) or missing_dataset()
        classes, tally, done = ClassResolver(dataset), Tally(), 0
        try:
            async for part in self._reader.parts(name, source):
                known = len(classes.new)
                files = _labelled(part, classes, tally)
                new = classes.new[known:]
                if new and not await self._datasets.add_classes(name, new):
                    missing_dataset()
                await self._take(name, files, tally, author)
                done += len(part)
                on_progress(done, len(source.listing.entries))
        except (Conflict, DiskFull) as error:
            raise type(error)(f"{error.detail} {tally.added} photos were added before.") from error
        finally:
            counts = {"added": tally.added, "duplicate": tally.duplicates}
            for result, count in (counts | {"refused": tally.refused}).items():
                self._metrics.count_photos(PhotoSource.UPLOAD, result, count)
        return tally.report(name, source.listing, classes)

    async def _take(
        self, dataset: str, files: Sequence[_Labelled], tally: Tally, author: _Author
    ) -> None:
        """Add new photos, label those without a label, and report contradictions."""
        there = await self._photos.by_digest(dataset, {one.file.digest for one in files})
        new = _new_photos(files, there)
        for photo in (
            await self._add(dataset, list(new.values()), tally, author.name) if new else ()
        ):
            there[photo.digest] = photo
        to_label: dict[tuple[str, ...], list[str]] = {}
        for one in files:
            digest = one.file.digest
            if new.pop(digest, None) is not None:
                continue  # the file that was added; a further one of the same photo follows
            known = there.get(digest)
            if known is None:
                tally.refuse(one.file.name, InvalidRequest("The dataset has no such photo."))
                continue
            tally.duplicates += 1
            if one.labels is None or known.labels == one.labels:
                continue
            if known.labels is not None and not author.replaces_labels:
                tally.contradict(one.file.name, known, one.labels)
                continue
            to_label.setdefault(one.labels, []).append(known.id)
            there[digest] = replace(known, labels=one.labels)
            tally.labelled += 1
        for labels, ids in to_label.items():
            await self._photos.set_labels(dataset, ids, labels, by=author.name)
            self._metrics.labels.inc(len(ids))

    async def _add(
        self, dataset: str, new: Sequence[NewPhoto], tally: Tally, by: str
    ) -> list[StoredPhoto]:
        """Add photos; if not all fit, as many as do.

        Raises:
            Conflict: not all of them fit.
        """
        try:
            added = await self._writer.add(dataset, new, by=by)
        except Conflict:
            if len(new) == 1:
                raise
            half = len(new) // 2
            added = await self._add(dataset, new[:half], tally, by)
            return added + await self._add(dataset, new[half:], tally, by)
        tally.added += len(added)
        self._metrics.labels.inc(sum(one.labels is not None for one in added))
        return added


def _labelled(part: Sequence[ReadFile], classes: ClassResolver, tally: Tally) -> list[_Labelled]:
    """Return the files that can be imported; report the others."""
    files: list[_Labelled] = []
    for one in part:
        if one.error is not None or one.found is None:
            tally.refuse(one.name, one.error or InvalidRequest())
            continue
        try:
            files.append(_Labelled(one, classes.labels(one.found.labels)))
        except BadLabels as error:
            tally.refuse(one.name, InvalidRequest(f"{error}."))
    return files


def _new_photos(files: Sequence[_Labelled], there: dict[str, StoredPhoto]) -> dict[str, NewPhoto]:
    """Return the photos that the dataset does not have, by digest; the first file of each."""
    new: dict[str, NewPhoto] = {}
    for one in files:
        file = one.file
        if file.inspected is None or file.found is None or file.digest in there:
            continue
        photo = NewPhoto(
            file.image, file.inspected, one.labels, file.found.group, file.found.captured
        )
        new.setdefault(file.digest, photo)
    return new
