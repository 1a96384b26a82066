"""Tables of sensors. Times are seconds since the epoch, UTC.

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
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table
from service.coordination.tables import MAX_SUBJECT_CHARS, EventColumns, SubjectColumns

MAX_OWNER_CHARS = 64
_ID = BigInteger().with_variant(Integer(), "sqlite")


class SensorRow(SubjectColumns, Table):
    """A sensor: its configuration, and the state that a restart goes on from."""

    __tablename__ = "sensors"

    is_configured: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Whether the setting ``sensors.definitions`` has it, so that callers cannot change it."""
    seen: Mapped[float | None] = mapped_column(Double)
    """When the last sample arrived that came without a channel; see ``SensorEpochRow.seen``."""


class SensorReportRow(Table):
    """Report of the receiving process, written while another process asks."""

    __tablename__ = "sensor_reports"

    sensor: Mapped[str] = mapped_column(
        String(MAX_SUBJECT_CHARS), ForeignKey("sensors.name", ondelete="CASCADE"), primary_key=True
    )
    report: Mapped[str | None] = mapped_column(Text)
    written: Mapped[float | None] = mapped_column(Double)
    wanted_until: Mapped[float] = mapped_column(Double, server_default="0")
    """Until then the report is kept fresh."""
    windows: Mapped[str | None] = mapped_column(Text)
    """``SensorWindows`` as JSON."""
    windows_wanted_until: Mapped[float] = mapped_column(Double, server_default="0")


class SensorEpochRow(Table):
    """The newest epoch of a sensor: how far it is safe, and which channel may change that.

    A table of its own: the row is written with every commit. Older epochs are refused, so that
    nothing of them is kept.
    """

    __tablename__ = "sensor_epochs"

    sensor: Mapped[str] = mapped_column(
        String(MAX_SUBJECT_CHARS), ForeignKey("sensors.name", ondelete="CASCADE"), primary_key=True
    )
    epoch: Mapped[int] = mapped_column(BigInteger)
    safe: Mapped[int] = mapped_column(BigInteger)
    """No window that is not committed needs a sample with a lower sequence number."""
    owner: Mapped[str | None] = mapped_column(String(MAX_OWNER_CHARS))
    """Token of the channel that opened the epoch last: commits of earlier ones fail. NULL: none."""
    opened: Mapped[float] = mapped_column(Double)
    seen: Mapped[float | None] = mapped_column(Double)
    """When the last sample arrived, of this epoch or an earlier one."""


class SensorResultRow(Table):
    """The answer for one window. The unique constraint recognises a window that is sent again.

    There is no further index: it would cost a third of a commit.
    """

    __tablename__ = "sensor_results"
    __table_args__ = (
        UniqueConstraint("sensor", "epoch", "first_sequence", name="uq_sensor_results_window"),
        # Ids of removed results are never used again: they are cursors.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True, autoincrement=True)
    sensor: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS))
    epoch: Mapped[int] = mapped_column(BigInteger)
    first_sequence: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[float] = mapped_column(Double)
    answer: Mapped[str] = mapped_column(Text)
    """``SensorAnswer`` as JSON."""


class SensorEventRow(EventColumns, Table):
    """A kept event."""

    __tablename__ = "sensor_events"
    __table_args__ = (
        Index("ix_sensor_events_sensor_id", "sensor", "id"),
        {"sqlite_autoincrement": True},
    )

    sensor: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS))
