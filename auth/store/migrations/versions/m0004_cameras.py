"""Cameras: configuration, reports, events, leases, cursors of outputs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates the tables of ``service/cameras/store/tables.py``."""
    op.create_table(
        "cameras",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text, nullable=True),
        sa.Column("is_paused", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("state", sa.String(255), nullable=True),
        sa.Column("since", sa.Double, nullable=True),
        sa.Column("is_silent", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("name", name="pk_cameras"),
    )
    op.create_table(
        "camera_reports",
        sa.Column("camera", sa.String(63), nullable=False),
        sa.Column("report", sa.Text, nullable=True),
        sa.Column("written", sa.Double, nullable=True),
        sa.Column("wanted_until", sa.Double, nullable=False, server_default="0"),
        sa.Column("preview", sa.LargeBinary, nullable=True),
        sa.Column("preview_at", sa.Double, nullable=True),
        sa.Column("preview_wanted_until", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("camera", name="pk_camera_reports"),
        sa.ForeignKeyConstraint(
            ["camera"], ["cameras.name"], name="fk_camera_reports_camera", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "camera_events",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("camera", sa.String(63), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("state", sa.String(255), nullable=True),
        sa.Column("previous", sa.String(255), nullable=True),
        sa.Column("score", sa.Double, nullable=True),
        sa.Column("model", sa.String(255), nullable=True),
        sa.Column("version", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_camera_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_camera_events_camera_id", "camera_events", ["camera", "id"])
    op.create_index("ix_camera_events_at", "camera_events", ["at"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "output_cursors",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("event", _ID, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt", sa.Double, nullable=False),
        sa.Column("dead", _ID, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_output_cursors"),
    )
