"""Checks that apply to every response of the server."""

from __future__ import annotations

import re
import tempfile
from typing import Any

import httpx

from tests.support.repository import ROOT

PROBLEM_TYPE = "application/problem+json"
# Stack traces, source files, addresses, and names of libraries.
INSIDES = re.compile(
    r"traceback|\.pyc?\b|site-packages|0x[0-9a-f]{6}|"
    r"\b(?:pillow|pil|pydantic|starlette|fastapi|uvicorn|httptools|onnx\w*|numpy|sqlalchemy|sqlite\w*|"
    r"jose|argon2|python)\b|\w+(?:Error|Exception)\b",
    re.IGNORECASE,
)
_MEMBERS = {
    *("type", "title", "status", "detail", "code", "request_id", "errors", "expected_wait_ms")
}
_PRODUCTS = {"server", "via", "x-powered-by", "x-aspnet-version", "x-runtime"}


def assert_tells_nothing(answer: httpx.Response) -> None:
    """Check that headers and body disclose no stack trace, path, library or product."""
    assert not _PRODUCTS & set(answer.headers)
    for text in (answer.text, *answer.headers.values()):
        assert not INSIDES.search(text), text
        assert str(ROOT) not in text
        assert tempfile.gettempdir() not in text


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of an error response, with all general checks."""
    assert answer.headers["content-type"] == PROBLEM_TYPE, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert set(problem) <= _MEMBERS
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.status_code == 422:
        assert all(fault["pointer"].startswith("/") for fault in problem["errors"])
    if answer.status_code in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="')
    assert_tells_nothing(answer)
    return problem


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error response, with all general checks."""
    return answer.status_code, problem_of(answer)["code"]
