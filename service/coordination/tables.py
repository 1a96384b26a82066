"""Tables that processes coordinate by. Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from auth.store.tables import Table

_ID = BigInteger().with_variant(Integer(), "sqlite")


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
