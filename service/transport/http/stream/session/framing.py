"""Binary messages of a client: a frame's number, then the encoded image."""

from __future__ import annotations

from schemas.errors import InvalidImage, InvalidRequest

HEADER_BYTES = 8
"""The number: unsigned, big-endian."""
MAX_NUMBER = 2**53 - 1
"""Largest number that JavaScript reads from JSON exactly."""


def parse_frame(message: bytes) -> tuple[int, bytes]:
    """Return number and encoded image of a frame.

    Raises:
        InvalidRequest: there is no number, or it is above ``MAX_NUMBER``.
    """
    if len(message) < HEADER_BYTES:
        raise InvalidRequest("A frame begins with its number, in eight bytes.")
    number = int.from_bytes(message[:HEADER_BYTES], "big")
    if number > MAX_NUMBER:
        raise InvalidRequest(f"The number of a frame is at most {MAX_NUMBER}.")
    return number, message[HEADER_BYTES:]


def require_image(image: bytes) -> None:
    """Raise ``InvalidImage`` if a frame has no image."""
    if not image:
        raise InvalidImage("The image has no bytes.")
