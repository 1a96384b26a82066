"""Clients beside people; sessions, revocations and the record of sign-ins."""

from __future__ import annotations

from datetime import UTC

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Carries the accounts over; every one of them becomes a person's."""
    op.rename_table("accounts", "accounts_0001")
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("secret_hash", sa.String(255), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("models", sa.String(4000), nullable=True),
        sa.Column("may_introspect", sa.Boolean, nullable=False),
        sa.Column("is_disabled", sa.Boolean, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_accounts_2"),
    )
    _carry_over()
    op.drop_table("accounts_0001")
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account", sa.String(100), nullable=False),
        sa.Column("client_id", sa.String(100), nullable=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("last_seen", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("handle", sa.String(64), nullable=False),
        sa.Column("current", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=True),
        sa.Column("rotated", sa.Double, nullable=True),
        sa.Column("answered", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("handle", name="uq_sessions_handle"),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.name"], name="fk_sessions_account", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sessions_account", "sessions", ["account"])
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
    op.create_table(
        "revocations",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revocations"),
    )
    op.create_index("ix_revocations_until", "revocations", ["until"])
    op.create_table(
        "sign_ins",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("blocked_until", sa.Double, nullable=False),
        sa.Column("last_failure", sa.Double, nullable=False),
        sa.Column("last_success", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_sign_ins"),
    )
    op.create_index("ix_sign_ins_last_failure", "sign_ins", ["last_failure"])


def _carry_over() -> None:
    connection = op.get_bind()
    old = sa.table(
        "accounts_0001",
        sa.column("name", sa.String),
        sa.column("password_hash", sa.String),
        sa.column("scopes", sa.String),
        sa.column("is_disabled", sa.Boolean),
        sa.column("created", sa.DateTime(timezone=True)),
    )
    new = sa.table(
        "accounts",
        sa.column("name", sa.String),
        sa.column("kind", sa.String),
        sa.column("secret_hash", sa.String),
        sa.column("scopes", sa.String),
        sa.column("may_introspect", sa.Boolean),
        sa.column("is_disabled", sa.Boolean),
        sa.column("created", sa.Double),
    )
    for row in connection.execute(sa.select(old)).all():
        created = row.created
        connection.execute(
            sa.insert(new).values(
                name=row.name,
                kind="person",
                secret_hash=row.password_hash,
                scopes=row.scopes,
                may_introspect=False,
                is_disabled=row.is_disabled,
                # SQLite forgets the zone; UTC was stored.
                created=created.timestamp()
                if created.tzinfo
                else created.replace(tzinfo=UTC).timestamp(),
            )
        )
