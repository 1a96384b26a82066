"""Tables of cameras. Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table

MAX_CAMERA_CHARS = 63
MAX_STATE_CHARS = 255
_ID = BigInteger().with_variant(Integer(), "sqlite")


class CameraRow(Table):
    """A camera: its configuration, and the state that a restart goes on from."""

    __tablename__ = "cameras"

    name: Mapped[str] = mapped_column(String(MAX_CAMERA_CHARS), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)
    """``CameraSpec`` as JSON, without credentials."""
    credentials: Mapped[str | None] = mapped_column(Text)
    """User and password, encrypted."""
    is_paused: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created: Mapped[float] = mapped_column(Double)
    revision: Mapped[int] = mapped_column(Integer, server_default="1")
    """Grows with every change of configuration: what the supervisor compares."""
    state: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    since: Mapped[float | None] = mapped_column(Double)
    is_silent: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Whether the last of the events ``silent`` and ``back`` is ``silent``."""


class CameraReportRow(Table):
    """Report of the watching process, written while another process asks."""

    __tablename__ = "camera_reports"

    camera: Mapped[str] = mapped_column(
        String(MAX_CAMERA_CHARS), ForeignKey("cameras.name", ondelete="CASCADE"), primary_key=True
    )
    report: Mapped[str | None] = mapped_column(Text)
    written: Mapped[float | None] = mapped_column(Double)
    wanted_until: Mapped[float] = mapped_column(Double, server_default="0")
    """Until then the report is kept fresh."""
    preview: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The last frame as a small JPEG."""
    preview_at: Mapped[float | None] = mapped_column(Double)
    preview_wanted_until: Mapped[float] = mapped_column(Double, server_default="0")


class CameraEventRow(Table):
    """A kept event."""

    __tablename__ = "camera_events"
    __table_args__ = (
        Index("ix_camera_events_camera_id", "camera", "id"),
        # Ids of removed events are never used again: they are cursors.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True, autoincrement=True)
    camera: Mapped[str] = mapped_column(String(MAX_CAMERA_CHARS))
    at: Mapped[float] = mapped_column(Double, index=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    previous: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    score: Mapped[float | None] = mapped_column(Double)
    model: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[int | None] = mapped_column(Integer)
