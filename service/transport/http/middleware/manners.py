"""In whose words a refusal is written: ours are problems, other protocols have their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schemas.errors import ErrorCode
from service.transport.http.middleware.compression import ENCODINGS


@dataclass(frozen=True, slots=True)
class Manner:
    """How one protocol refuses; in ``application/json``, which clients compare to the letter.

    Attributes:
        paths: where it is spoken.
        body: what stands in the answer, by status, code and detail.
        encodings: in which bodies may be compressed.
    """

    paths: re.Pattern[str]
    body: Callable[[int, ErrorCode, str], dict[str, object]]
    encodings: tuple[str, ...] = ()


def error_alone(status: int, code: ErrorCode, detail: str) -> dict[str, object]:
    """The body of the Open Inference Protocol, of KServe and of TensorFlow Serving."""
    del status, code
    return {"error": detail}


V2 = Manner(re.compile(r"/v2(/.*)?", re.DOTALL), error_alone, ENCODINGS)
"""The Open Inference Protocol."""


def manner_at(path: str, manners: Iterable[Manner]) -> Manner | None:
    """The manner that is in use at a path; None for our own."""
    return next((manner for manner in manners if manner.paths.fullmatch(path)), None)
