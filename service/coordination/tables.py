"""Tables that processes coordinate by, and columns of subjects and of kept events.

Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Boolean, Double, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table

MAX_SUBJECT_CHARS = 63
"""Of the name of a camera or a sensor."""
MAX_STATE_CHARS = 255
_ID = BigInteger().with_variant(Integer(), "sqlite")


class SubjectColumns:
    """Columns of a camera or a sensor: configuration, and the state that a restart goes on from."""

    name: Mapped[str] = mapped_column(String(MAX_SUBJECT_CHARS), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)
    """The configuration as JSON, without credentials."""
    is_paused: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created: Mapped[float] = mapped_column(Double)
    revision: Mapped[int] = mapped_column(Integer, server_default="1")
    """Grows with every change of configuration: what the supervisor or open channels compare."""
    state: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    since: Mapped[float | None] = mapped_column(Double)
    is_silent: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Whether the last of the events ``silent`` and ``back`` is ``silent``."""


class EventColumns:
    """Columns of a kept event, beside that of the subject's name.

    The table needs ``sqlite_autoincrement``: ids of removed events are never used again, since they
    are cursors.
    """

    id: Mapped[int] = mapped_column(_ID, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(Double, index=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    previous: Mapped[str | None] = mapped_column(String(MAX_STATE_CHARS))
    score: Mapped[float | None] = mapped_column(Double)
    model: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[int | None] = mapped_column(Integer)

    if TYPE_CHECKING:

        def __init__(self, **values: object) -> None:
            """Create a row; ``values``: by the names of its columns."""


class LeaseRow(Table):
    """Which process does what only one may do, such as watching a camera."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    until: Mapped[float] = mapped_column(Double)
    """By the clock of the database."""


class OutputCursorRow(Table):
    """How far an output has delivered the events."""

    __tablename__ = "output_cursors"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    event: Mapped[int] = mapped_column(_ID)
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt: Mapped[float] = mapped_column(Double)
    dead: Mapped[int] = mapped_column(_ID)
