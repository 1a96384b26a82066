"""Tables of cameras. Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table
from service.coordination.tables import MAX_SUBJECT_CHARS, EventColumns, SubjectColumns

_ID = BigInteger().with_variant(Integer(), "sqlite")


class CameraRow(SubjectColumns, Table):
    """A camera: its configuration, and the state that a restart goes on from."""

    __tablename__ = "cameras"

    credentials: Mapped[str | None] = mapped_column(Text)
    """User and password, encrypted."""


class CameraReportRow(Table):
    """Report of the watching process, written while another process asks."""

    __tablename__ = "camera_reports"

    camera: Mapped[str] = mapped_column(
        String(MAX_SUBJECT_CHARS), ForeignKey("cameras.name", ondelete="CASCADE"), primary_key=True
    )
    report: Mapped[str | None] = mapped_column(Text)
    written: Mapped[float | None] = mapped_column(Double)
    wanted_until: Mapped[float] = mapped_column(Double, server_default="0")
    """Until then the report is kept fresh."""
    preview: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The last frame as a small JPEG."""
    preview_at: Mapped[float | None] = mapped_column(Double)
    preview_wanted_until: Mapped[float] = mapped_column(Double, server_default="0")


class CameraEventRow(EventColumns, Table):
    """A kept event."""

    __tablename__ = "camera_events"
    __table_args__ = (
        Index("ix_camera_events_camera_id", "camera", "id"),
        {"sqlite_autoincrement": True},
    )

    camera: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS))
