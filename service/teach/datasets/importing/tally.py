"""What an import did so far, and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.errors import ServiceError
from schemas.teach.dataset import (
    MAX_SHOWN,
    Contradiction,
    ImportReport,
    MergedClass,
    RefusedFile,
)
from service.teach.datasets.importing.listing import Listing
from service.teach.datasets.labelling import ClassResolver
from service.teach.datasets.records import StoredPhoto


@dataclass(slots=True)
class Tally:
    """Counts of files, and the first of those that need a look."""

    added: int = 0
    duplicates: int = 0
    labelled: int = 0
    refused: int = 0
    contradicted: int = 0
    _refused: list[RefusedFile] = field(default_factory=list)
    _contradictions: list[Contradiction] = field(default_factory=list)

    def refuse(self, name: str, error: ServiceError) -> None:
        """Count a file that is not imported."""
        self.refused += 1
        if len(self._refused) < MAX_SHOWN:
            self._refused.append(RefusedFile(file=name, code=error.code, reason=error.detail))

    def contradict(self, name: str, photo: StoredPhoto, other: Sequence[str]) -> None:
        """Count a file whose photo has another label already, which it keeps."""
        self.contradicted += 1
        if len(self._contradictions) < MAX_SHOWN:
            kept = list(photo.labels or ())
            self._contradictions.append(
                Contradiction(file=name, photo=photo.id, kept=kept, other=list(other))
            )

    def report(self, dataset: str, listing: Listing, classes: ClassResolver) -> ImportReport:
        """Return the report of an import that has ended."""
        merged = [MergedClass(given=given, used=used) for given, used in classes.merged.items()]
        return ImportReport(
            dataset=dataset,
            format=listing.format,
            files=len(listing.entries),
            added=self.added,
            duplicates=self.duplicates,
            labelled=self.labelled,
            new_classes=classes.new,
            merged_classes=merged,
            refused=self.refused,
            refused_files=self._refused,
            contradicted=self.contradicted,
            contradictions=self._contradictions,
        )
