"""The tables of the store. Times are seconds since the epoch, UTC.

A change here needs a migration in ``auth/store/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_NAME_CHARS = 100
MAX_DEVICE_CHARS = 255
DIGEST_CHARS = 64
"""A SHA-256 digest in hexadecimal."""


class Table(DeclarativeBase):
    """Base class; names constraints alike on every database, for migrations to refer to."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
        }
    )


class AccountRow(Table):
    """An account: a person or a client (a device, a backend)."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    secret_hash: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[str] = mapped_column(String(255))
    models: Mapped[str | None] = mapped_column(String(4000))
    """Names of the permitted models, separated by spaces; NULL for all."""
    may_introspect: Mapped[bool]
    is_disabled: Mapped[bool]
    created: Mapped[float] = mapped_column(Double)
    weight: Mapped[int] = mapped_column(Integer, server_default="1")
    """Share of the turns beside other accounts."""


class SessionRow(Table):
    """One signed-in device: a family of refresh tokens (RFC 9700, section 4.14.2)."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(
        String(MAX_NAME_CHARS), ForeignKey("accounts.name", ondelete="CASCADE"), index=True
    )
    client_id: Mapped[str] = mapped_column(String(MAX_NAME_CHARS))
    device: Mapped[str] = mapped_column(String(MAX_DEVICE_CHARS))
    scopes: Mapped[str] = mapped_column(String(255))
    created: Mapped[float] = mapped_column(Double)
    last_seen: Mapped[float] = mapped_column(Double)
    expires: Mapped[float] = mapped_column(Double, index=True)
    handle: Mapped[str] = mapped_column(String(DIGEST_CHARS), unique=True)
    """Digest of the handle that all refresh tokens of the family share."""
    current: Mapped[str] = mapped_column(String(DIGEST_CHARS))
    """Digest of the live token's secret."""
    previous: Mapped[str | None] = mapped_column(String(DIGEST_CHARS))
    """Digest of the previous token's secret, which may be repeated briefly."""
    rotated: Mapped[float | None] = mapped_column(Double)
    """When ``previous`` was first used."""
    answered: Mapped[float] = mapped_column(Double)
    """When a refresh token was last issued."""


class RevocationRow(Table):
    """A revoked token, session or account, kept until the affected access tokens have expired."""

    __tablename__ = "revocations"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    kind: Mapped[str] = mapped_column(String(10))
    value: Mapped[str] = mapped_column(String(255))
    at: Mapped[float] = mapped_column(Double)
    until: Mapped[float] = mapped_column(Double, index=True)


class SignInRow(Table):
    """Recent sign-ins of one account, from one address, or of both together."""

    __tablename__ = "sign_ins"

    key: Mapped[str] = mapped_column(String(DIGEST_CHARS), primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[float] = mapped_column(Double)
    last_failure: Mapped[float] = mapped_column(Double, index=True)
    last_success: Mapped[float | None] = mapped_column(Double)
