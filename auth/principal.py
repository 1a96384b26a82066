"""Who is calling, once that is established."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token may be used for. None implies another."""

    CLASSIFY = "classify"
    MODELS_READ = "models:read"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. ``expires_at``: seconds since the epoch."""

    name: str
    scopes: frozenset[Scope]
    token_id: str
    expires_at: float


def parse_scopes(text: str) -> frozenset[Scope]:
    """Space-separated scope names (RFC 6749, section 3.3).

    Raises:
        ValueError: if one is not known.
    """
    return frozenset(Scope(name) for name in text.split())


def known_scopes(text: str) -> frozenset[Scope]:
    """The same, but a name that this version does not know is left out: it grants nothing."""
    return frozenset(Scope(name) for name in text.split() if name in ALL_SCOPES)


def format_scopes(scopes: frozenset[Scope]) -> str:
    """The other way round, in a fixed order."""
    return " ".join(sorted(scopes))
