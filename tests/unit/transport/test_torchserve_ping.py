"""What /ping says while models come and go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import Response

from service.runtime import Runtime
from service.transport.http.compat.torchserve import ping


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("readiness", "has_identity", "status", "code"),
    [
        ({"a": True, "b": True}, True, "Healthy", 200),
        ({"a": True, "b": False}, True, "Partial Healthy", 200),
        ({"a": False}, True, "Unhealthy", 500),
        ({}, True, "Unhealthy", 500),
        ({"a": True}, False, "Unhealthy", 500),
    ],
)
async def test_health_is_told_in_torchserves_words(
    readiness: dict[str, bool], has_identity: bool, status: str, code: int
) -> None:
    parts: Any = SimpleNamespace(
        classifier=SimpleNamespace(readiness=lambda: readiness),
        identity=SimpleNamespace(is_ready=has_identity),
    )
    response = Response()
    assert (await ping(cast("Runtime", parts), response)).status == status
    assert response.status_code == code
