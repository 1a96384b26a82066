"""Detection of ambiguous request framing (RFC 9112, sections 2.3, 3.2 and 6.1).

Requests can be smuggled if Potoo and a proxy interpret a message differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.v]+\])(?::[0-9]*)?")


def is_ambiguous(headers: Iterable[tuple[bytes, bytes]], version: str) -> bool:
    """Return whether to refuse a request; ``version`` as ``1.1``, header names in lower case."""
    lengths, codings, hosts = 0, [], []
    for name, value in headers:
        if name == b"content-length":
            lengths += 1
        elif name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            codings.append(value.strip().lower())
    return (
        version not in {"1.0", "1.1"}
        or lengths + len(codings) > 1
        or codings not in ([], [b"chunked"])
        or (version == "1.0" and bool(codings))
        or len(hosts) > 1
        or (version == "1.1" and not hosts)
        or not all(map(_HOST.fullmatch, hosts))
    )
