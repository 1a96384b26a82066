"""Error bodies: Problem Details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from schemas.errors import ErrorCode


def _omit_default(schema: JsonDict) -> None:
    """Drop ``default: null``: a member without a value is absent."""
    del schema["default"]


class ProblemViolation(BaseModel):
    """One invalid field of the request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into query, path, header or body.")
    detail: str


class Problem(BaseModel):
    """Body of error responses (`application/problem+json`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "top_k: Input should be less than or equal to 100.",
                    "code": "invalid_parameter",
                    "request_id": "5f0c6d1e8f1b4c55a4a34b1df4bd3f7a",
                    "errors": [
                        {
                            "pointer": "/query/top_k",
                            "detail": "Input should be less than or equal to 100",
                        }
                    ],
                }
            ]
        }
    )

    type: str = Field(default="about:blank", description="Always about:blank; see `code`.")
    title: str = Field(description="Reason phrase of the HTTP status.")
    status: int = Field(description="The HTTP status code.", ge=400, le=599)
    detail: str = Field(description="Explanation for people.")
    code: ErrorCode = Field(description="Stable error code for programs.")
    request_id: str = Field(description="The same id as in X-Request-ID and the server's log.")
    expected_wait_ms: int | None = Field(
        default=None,
        description="Estimated wait in milliseconds, if it is the reason of the refusal.",
        json_schema_extra=_omit_default,
    )
    errors: list[ProblemViolation] | None = Field(
        default=None,
        description="Invalid fields, if known.",
        json_schema_extra=_omit_default,
    )
