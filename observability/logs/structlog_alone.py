"""structlog without rich, which it imports where it is installed, as it is for ``--help``.

rich and what it imports take 70 modules and 100 ms of a start. structlog would format tracebacks
with it; ours are formatted before.
"""

from __future__ import annotations

import sys

_IS_ABSENT = "rich" not in sys.modules
if _IS_ABSENT:
    # A value of None makes the import fail.
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _IS_ABSENT:
        del sys.modules["rich"]

__all__ = ["structlog"]
