"""Sensors: configuration, epochs, results, events, reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates the tables of ``service/sensors/store/tables.py``."""
    op.create_table(
        "sensors",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("is_paused", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_configured", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("state", sa.String(255), nullable=True),
        sa.Column("since", sa.Double, nullable=True),
        sa.Column("is_silent", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("seen", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_sensors"),
    )
    op.create_table(
        "sensor_reports",
        sa.Column("sensor", sa.String(63), nullable=False),
        sa.Column("report", sa.Text, nullable=True),
        sa.Column("written", sa.Double, nullable=True),
        sa.Column("wanted_until", sa.Double, nullable=False, server_default="0"),
        sa.Column("windows", sa.Text, nullable=True),
        sa.Column("windows_wanted_until", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("sensor", name="pk_sensor_reports"),
        sa.ForeignKeyConstraint(
            ["sensor"], ["sensors.name"], name="fk_sensor_reports_sensor", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "sensor_epochs",
        sa.Column("sensor", sa.String(63), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("safe", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64), nullable=True),
        sa.Column("opened", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("sensor", name="pk_sensor_epochs"),
        sa.ForeignKeyConstraint(
            ["sensor"], ["sensors.name"], name="fk_sensor_epochs_sensor", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "sensor_results",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("sensor", sa.String(63), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sensor_results"),
        sa.UniqueConstraint("sensor", "epoch", "first_sequence", name="uq_sensor_results_window"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sensor_events",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("sensor", sa.String(63), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("state", sa.String(255), nullable=True),
        sa.Column("previous", sa.String(255), nullable=True),
        sa.Column("score", sa.Double, nullable=True),
        sa.Column("model", sa.String(255), nullable=True),
        sa.Column("version", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sensor_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sensor_events_sensor_id", "sensor_events", ["sensor", "id"])
    op.create_index("ix_sensor_events_at", "sensor_events", ["at"])
