"""Cancellation of the work for a client that has disconnected.

uvicorn reports it only to an application that calls ``receive``, not to one that waits for a model.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Scope

LEFT = "potoo.left"
"""Key of a request's scope: the callback that the protocol calls when the connection is lost."""


class CancelOnDisconnect:
    """Context that cancels its block when the client leaves and raises ``ClientDisconnect``."""

    __slots__ = ("_has_left", "_scope", "_task")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._has_left = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._scope[LEFT] = self._leave
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._scope[LEFT]
        if self._has_left and isinstance(error, asyncio.CancelledError):
            if self._task is not None:
                self._task.uncancel()
            raise ClientDisconnect from None

    def _leave(self) -> None:
        if not self._has_left and self._task is not None:
            self._has_left = True
            self._task.cancel()
