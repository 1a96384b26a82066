"""Tables of teaching. Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table

MAX_ACCOUNT_CHARS = 255
ID_CHARS = 20
DIGEST_CHARS = 64


class DatasetRow(Table):
    """A dataset."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    classes: Mapped[str] = mapped_column(Text)
    """JSON list of names, in order."""
    created: Mapped[float] = mapped_column(Double)
    created_by: Mapped[str] = mapped_column(String(MAX_ACCOUNT_CHARS))
    max_photos: Mapped[int] = mapped_column(Integer)
    max_bytes: Mapped[int] = mapped_column(BigInteger)


class PhotoRow(Table):
    """A photo; its file is named by the digest, and shared by all datasets that have it."""

    __tablename__ = "photos"
    __table_args__ = (
        UniqueConstraint("dataset", "digest", name="uq_photos_dataset_digest"),
        Index("ix_photos_digest", "digest"),
        Index("ix_photos_dataset_id", "dataset", "id"),
    )

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    """Sorts by the time of adding."""
    dataset: Mapped[str] = mapped_column(
        String(63), ForeignKey("datasets.name", ondelete="CASCADE")
    )
    digest: Mapped[str] = mapped_column(String(DIGEST_CHARS))
    hash64: Mapped[str | None] = mapped_column(String(16))
    """Perceptual hash, in hexadecimal."""
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    bytes: Mapped[int] = mapped_column(BigInteger)
    added: Mapped[float] = mapped_column(Double)
    added_by: Mapped[str] = mapped_column(String(MAX_ACCOUNT_CHARS))
    source: Mapped[str] = mapped_column(String(10))
    captured: Mapped[float | None] = mapped_column(Double)
    grp: Mapped[str | None] = mapped_column(String(255))
    label: Mapped[str | None] = mapped_column(Text)
    """JSON list of class names, sorted; NULL: not labelled."""
    labelled_by: Mapped[str | None] = mapped_column(String(MAX_ACCOUNT_CHARS))
    labelled: Mapped[float | None] = mapped_column(Double)
    answer: Mapped[str | None] = mapped_column(Text)
    """JSON of a ``ServedAnswer``."""


class TeachRunRow(Table):
    """A run: one teaching of a dataset."""

    __tablename__ = "teach_runs"
    __table_args__ = (Index("ix_teach_runs_dataset_id", "dataset", "id"),)

    id: Mapped[str] = mapped_column(String(ID_CHARS), primary_key=True)
    dataset: Mapped[str] = mapped_column(
        String(63), ForeignKey("datasets.name", ondelete="CASCADE")
    )
    state: Mapped[str] = mapped_column(String(20))
    step: Mapped[str | None] = mapped_column(String(50))
    base: Mapped[str | None] = mapped_column(String(255))
    model: Mapped[str] = mapped_column(String(255))
    version: Mapped[int | None] = mapped_column(Integer)
    created: Mapped[float] = mapped_column(Double)
    changed: Mapped[float] = mapped_column(Double)
    created_by: Mapped[str] = mapped_column(String(MAX_ACCOUNT_CHARS))
    error: Mapped[str | None] = mapped_column(Text)
    verdict: Mapped[str | None] = mapped_column(Text)
    """JSON of a ``Verdict``."""
    details: Mapped[str] = mapped_column(Text)
    """JSON of a ``RunDetails``: options, base, photos left out, attempts."""
