"""The response of /ping while models are loaded and unloaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import Response

from service.runtime.runtime import Runtime
from service.runtime.shutdown import Shutdown
from service.transport.http.compat.torchserve import ping


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("readiness", "has_identity", "is_leaving", "status", "code"),
    [
        ({"a": True, "b": True}, True, False, "Healthy", 200),
        ({"a": True, "b": False}, True, False, "Partial Healthy", 200),
        ({"a": False}, True, False, "Unhealthy", 500),
        ({}, True, False, "Unhealthy", 500),
        ({"a": True}, False, False, "Unhealthy", 500),
        ({"a": True}, True, True, "Unhealthy", 500),
    ],
)
async def test_ping_reports_health_in_torchserve_format(
    readiness: dict[str, bool], has_identity: bool, is_leaving: bool, status: str, code: int
) -> None:
    shutdown = Shutdown()
    if is_leaving:
        shutdown.announce()
    parts: Any = SimpleNamespace(
        classifier=SimpleNamespace(readiness=lambda: readiness),
        identity=SimpleNamespace(is_ready=has_identity),
        shutdown=shutdown,
    )
    response = Response()
    assert (await ping(cast("Runtime", parts), response)).status == status
    assert response.status_code == code
