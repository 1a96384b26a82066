"""Why a run fails."""

from __future__ import annotations

from schemas.teach.run import RunFailure


class RunFailed(Exception):
    """A run cannot succeed. ``detail``: for callers, a whole sentence without paths."""

    def __init__(self, code: RunFailure, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(detail)
