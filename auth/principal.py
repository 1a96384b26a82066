"""Verified callers and their scopes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Permission of an access token. Scopes are independent."""

    CLASSIFY = "classify"
    INFER = "infer"
    STREAM = "stream"
    CAMERAS = "cameras"
    SENSORS = "sensors"
    INGEST = "ingest"
    PREPROCESS = "preprocess"
    TEACH = "teach"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    JOBS = "jobs"
    TRAIN = "train"
    METRICS = "metrics"
    ADMIN = "admin"


RESERVED_SCOPES = frozenset({Scope.JOBS})
"""Unused scopes: accounts may have them, but they are not offered."""
ALL_SCOPES = frozenset(Scope) - RESERVED_SCOPES
"""Scopes in use."""
DEFAULT_SCOPES = frozenset({Scope.CLASSIFY, Scope.MODELS_READ})
"""Scopes of a new account unless others are given."""
MAX_WEIGHT = 100
"""Largest share of the turns that an account may have, relative to a new account."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    ``name``: the account, or ``issuer|subject`` for a token of another issuer. ``token_id`` and
    ``session_id`` can be revoked. ``models``: names of the permitted models, None for all.
    ``issued_at`` and ``expires_at``: seconds since the epoch; the latter includes tolerated skew.
    ``weight``: share of the turns beside other callers, 1 to ``MAX_WEIGHT``.
    """

    name: str
    scopes: frozenset[Scope]
    token_id: str
    expires_at: float
    issued_at: float = 0.0
    session_id: str | None = None
    models: frozenset[str] | None = None
    client_id: str = ""
    weight: int = 1

    def may_use(self, model: str) -> bool:
        """Return whether the principal may use the model."""
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a request: ``address`` of the client, ``device`` as the client reports it.

    Not the Origin header of web pages, which is about CORS.
    """

    address: str
    device: str = ""


def parse_scopes(text: str) -> frozenset[Scope]:
    """Parse space-separated scope names (RFC 6749, section 3.3).

    Raises:
        ValueError: if a scope is unknown.
    """
    return frozenset(Scope(name) for name in text.split())


def known_scopes(text: str) -> frozenset[Scope]:
    """Parse scope names and ignore those unknown to this version: they grant nothing."""
    known = set(Scope)
    return frozenset(Scope(name) for name in text.split() if name in known)


def format_scopes(scopes: frozenset[Scope]) -> str:
    """Format scopes as space-separated names in sorted order."""
    return " ".join(sorted(scopes))
