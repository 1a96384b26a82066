"""Base64 of clients: either alphabet, line breaks, optional padding, or a data URL.

Any other character in the text is refused, never skipped.
"""

from __future__ import annotations

import binascii

_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decoded(text: str | bytes) -> bytes:
    """Decode base64 or a data URL.

    Raises:
        ValueError: the text is not base64, or a data URL not in base64; the message says which.
    """
    if not text.isascii():
        raise ValueError("Not base64")
    data = text.encode("ascii") if isinstance(text, str) else text
    if data[:5].lower() == b"data:":
        media_type, _, data = data.partition(b",")
        if not media_type.lower().endswith(b";base64"):
            raise ValueError("The data URL is not in base64")
    # Line breaks (MIME), the URL-safe alphabet and missing padding are common in clients.
    data = data.translate(_URL_SAFE, b" \t\r\n").rstrip(b"=")
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error:
        raise ValueError("Not base64") from None
