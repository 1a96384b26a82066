"""Why a head cannot be fitted."""

from __future__ import annotations

from collections.abc import Sequence


class CannotFit(ValueError):
    """No head can be fitted to these photos. The message is for people, a whole sentence.

    Attributes:
        photos: indices of the photos at fault; empty if it is all of them.
    """

    def __init__(self, message: str, photos: Sequence[int] = ()) -> None:
        self.photos = tuple(int(photo) for photo in photos)
        super().__init__(message)
