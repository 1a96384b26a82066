"""Detection of ambiguous request framing (RFC 9112, sections 2.3, 3.2 and 6.1).

Requests can be smuggled if Potoo and a proxy interpret a message differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.v]+\])(?::[0-9]*)?")


def is_ambiguous(headers: Iterable[tuple[bytes, bytes]], version: str) -> bool:
    """Return whether to refuse a request; ``version`` as ``1.1``, header names in lower case."""
    lengths = codings = hosts = 0
    coding, host = b"", b""
    for name, value in headers:
        if name == b"content-length":
            lengths += 1
        elif name == b"host":
            hosts, host = hosts + 1, value
        elif name == b"transfer-encoding":
            codings, coding = codings + 1, value
    if lengths + codings > 1 or hosts > 1 or not _HOST.fullmatch(host):
        return True
    if version == "1.1":
        return not hosts or (codings > 0 and coding.strip().lower() != b"chunked")
    return version != "1.0" or codings > 0
