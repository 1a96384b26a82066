"""Reader of a stream: a person at a terminal, or a program."""

from __future__ import annotations

import os
from typing import IO, Any


def takes_colour(stream: IO[Any]) -> bool:
    """Return whether to write colours: to terminals only, and never if ``NO_COLOR`` is set.

    Any value of ``NO_COLOR`` but the empty one counts (https://no-color.org).
    """
    return stream.isatty() and not os.environ.get("NO_COLOR")
