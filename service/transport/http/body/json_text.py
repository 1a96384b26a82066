"""JSON of clients, which may begin with a byte order mark.

.NET, PowerShell and Windows editors write one; parsers may ignore it (RFC 8259, section 8.1).
"""

from __future__ import annotations

import codecs
from typing import TypeVar, cast

Data = TypeVar("Data", bound=bytes | bytearray | memoryview)


def without_mark(data: Data) -> Data:
    """Return JSON text in UTF-8 without a byte order mark; copies only bytes that have one."""
    size = len(codecs.BOM_UTF8)
    return cast("Data", data[size:]) if data[:size] == codecs.BOM_UTF8 else data
