"""Work for a client that has left is given up: nobody would read its answer.

uvicorn tells an application only if it asks, and one that waits for a model does not.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Scope

LEFT = "potoo.left"
"""Where a request's scope holds what the protocol calls when the connection is lost."""


class WhileConnected:
    """Cancels what is awaited in its block when the client leaves, as ``ClientDisconnect``."""

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
