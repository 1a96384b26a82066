"""Who is calling, once that is established."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token may be used for. None implies another."""

    CLASSIFY = "classify"
    INFER = "infer"
    STREAM = "stream"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    JOBS = "jobs"
    TRAIN = "train"
    METRICS = "metrics"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)
DEFAULT_SCOPES = frozenset({Scope.CLASSIFY, Scope.MODELS_READ})
"""Of a new account, unless others are given."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    ``name``: the account, or ``issuer|subject`` if another issuer vouches for it. ``token_id`` and
    ``session_id`` are what may be revoked. ``models``: names of those it may use, None for all.
    ``issued_at`` and ``expires_at``: seconds since the epoch; tolerated skew is in the latter.
    """

    name: str
    scopes: frozenset[Scope]
    token_id: str
    expires_at: float
    issued_at: float = 0.0
    session_id: str | None = None
    models: frozenset[str] | None = None
    client_id: str = ""

    def may_use(self, model: str) -> bool:
        """Whether the model of that name is among those it may use."""
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from: ``address`` of the connection, ``device`` as it names itself."""

    address: str
    device: str = ""


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
