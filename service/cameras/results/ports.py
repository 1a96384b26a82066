"""Ports of outputs of cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.cameras import Camera


class Cameras(Protocol):
    """The cameras as they are now."""

    async def list(self) -> Sequence[Camera]:
        """Return all cameras, by name.

        Raises:
            NotReady: the store does not answer.
        """
