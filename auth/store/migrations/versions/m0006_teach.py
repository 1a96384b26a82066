"""Teaching: datasets, their photos, runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Creates the tables of ``service/teach/datasets/tables.py``."""
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("classes", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("max_photos", sa.Integer, nullable=False),
        sa.Column("max_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_datasets"),
    )
    op.create_table(
        "photos",
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("dataset", sa.String(63), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("hash64", sa.String(16), nullable=True),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("added", sa.Double, nullable=False),
        sa.Column("added_by", sa.String(255), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("captured", sa.Double, nullable=True),
        sa.Column("grp", sa.String(255), nullable=True),
        sa.Column("label", sa.Text, nullable=True),
        sa.Column("labelled_by", sa.String(255), nullable=True),
        sa.Column("labelled", sa.Double, nullable=True),
        sa.Column("answer", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_photos"),
        sa.ForeignKeyConstraint(
            ["dataset"], ["datasets.name"], name="fk_photos_dataset", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("dataset", "digest", name="uq_photos_dataset_digest"),
    )
    op.create_index("ix_photos_digest", "photos", ["digest"])
    op.create_index("ix_photos_dataset_id", "photos", ["dataset", "id"])
    op.create_table(
        "teach_runs",
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("dataset", sa.String(63), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("step", sa.String(50), nullable=True),
        sa.Column("base", sa.String(255), nullable=True),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("verdict", sa.Text, nullable=True),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teach_runs"),
        sa.ForeignKeyConstraint(
            ["dataset"], ["datasets.name"], name="fk_teach_runs_dataset", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_teach_runs_dataset_id", "teach_runs", ["dataset", "id"])
