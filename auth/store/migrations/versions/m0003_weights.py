"""Weights of accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Gives every account the weight of a new one."""
    op.add_column("accounts", sa.Column("weight", sa.Integer, nullable=False, server_default="1"))
