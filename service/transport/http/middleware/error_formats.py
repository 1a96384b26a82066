"""Error body format per protocol: problem details, or that of another protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schemas.errors import ErrorCode
from service.transport.http.middleware.compression import ENCODINGS


@dataclass(frozen=True, slots=True)
class ErrorFormat:
    """Error format of one protocol; ``application/json``, which clients compare to the letter.

    Attributes:
        paths: where the protocol is served.
        body: builds the response body from status, code and detail.
        encodings: content encodings that request bodies may have.
    """

    paths: re.Pattern[str]
    body: Callable[[int, ErrorCode, str], dict[str, object]]
    encodings: tuple[str, ...] = ()


def error_alone(status: int, code: ErrorCode, detail: str) -> dict[str, object]:
    """Build the error body of the Open Inference Protocol, KServe and TensorFlow Serving."""
    del status, code
    return {"error": detail}


V2 = ErrorFormat(re.compile(r"/v2(/.*)?", re.DOTALL), error_alone, ENCODINGS)
"""Error format of the Open Inference Protocol."""


def error_format_at(path: str, error_formats: Iterable[ErrorFormat]) -> ErrorFormat | None:
    """Return the error format in use at a path; None for problem details."""
    return next(
        (error_format for error_format in error_formats if error_format.paths.fullmatch(path)), None
    )
