"""Prometheus metrics of teaching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter

from schemas.errors import CallerError
from schemas.teach.dataset import PhotoSource

RESULTS = ("added", "duplicate", "refused", "failed")
"""Refused: the photo is at fault; failed: the server is, such as a full disk."""
WORTHS = ("unknown", "unsure", "narrow")
NOT_KEPT = ("budget", "queue", "duplicate", "refused", "failed")
FORMATS = ("folders", "csv", "label-studio")


class TeachMetrics:
    """The series of teaching. No label names a dataset: callers choose those."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._photos = Counter(
            "potoo_teach_photos",
            "Photos sent to datasets, by what became of them.",
            ["source", "result"],
            registry=registry,
        )
        self.removed = Counter(
            "potoo_teach_photos_removed", "Photos removed from datasets.", registry=registry
        )
        self.labels = Counter("potoo_teach_labels", "Labels given to photos.", registry=registry)
        self._imports = Counter(
            "potoo_teach_imports",
            "Imports of photos, by whether they ended well.",
            ["format", "result"],
            registry=registry,
        )
        self._kept = Counter(
            "potoo_photos_kept",
            "Photos of cameras and requests that were kept to be labelled, by why.",
            ["source", "worth"],
            registry=registry,
        )
        self._not_kept = Counter(
            "potoo_photos_not_kept",
            "Photos worth a label that were not kept, by why.",
            ["source", "reason"],
            registry=registry,
        )
        for source in PhotoSource:
            for result in RESULTS:
                self._photos.labels(source.value, result)
        for source in (PhotoSource.CAMERA, PhotoSource.ANSWER):
            for worth in WORTHS:
                self._kept.labels(source.value, worth)
            for reason in NOT_KEPT:
                self._not_kept.labels(source.value, reason)
        for format_ in FORMATS:
            for result in ("done", "failed"):
                self._imports.labels(format_, result)

    def kept(self, source: PhotoSource, worth: str) -> None:
        """Count a photo that was kept; ``worth``: why."""
        self._kept.labels(source.value, worth).inc()

    def not_kept(self, source: PhotoSource, reason: str) -> None:
        """Count a photo worth a label that was not; ``reason``: one of ``NOT_KEPT``."""
        self._not_kept.labels(source.value, reason).inc()

    def count_photos(self, source: PhotoSource, result: str, count: int) -> None:
        """Count photos; ``result``: one of ``RESULTS``."""
        self._photos.labels(source.value, result).inc(count)

    @contextmanager
    def adding(self, source: PhotoSource) -> Iterator[None]:
        """Count a photo that the block refuses or fails to add."""
        try:
            yield
        except CallerError:
            self.count_photos(source, "refused", 1)
            raise
        except Exception:
            self.count_photos(source, "failed", 1)
            raise

    @contextmanager
    def importing(self, format_: str) -> Iterator[None]:
        """Count an import."""
        try:
            yield
        except BaseException:
            self._imports.labels(format_, "failed").inc()
            raise
        self._imports.labels(format_, "done").inc()
