"""KServe's own clients, REST and gRPC, against a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.running import facts
from tests.support.callers.tensors import by_onnxruntime, images
from tests.support.models.tiny_model import SIDE
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(server: LiveServer) -> dict[str, Any]:
    token = server.token("infer models:read")
    return facts(
        "kserve_rest", url=server.url, token=token, model="colours", shape=[2, 3, SIDE, SIDE]
    )


def test_kserve_client_reads_health(found: dict[str, Any]) -> None:
    names = ("live", "ready", "model ready", "other ready")
    assert [found[name] for name in names] == [True, True, True, False]


def test_kserve_client_gets_the_outputs_of_onnx_runtime(
    found: dict[str, Any], colours: Path
) -> None:
    expected = by_onnxruntime(colours / "colours" / "1" / "model.onnx", images(2))
    assert len(found["outputs"]) == 6
    for output in found["outputs"]:
        assert np.allclose(output, expected, rtol=1e-6)
    assert found["id"] == "mine"


def test_kserve_client_understands_refusals(found: dict[str, Any]) -> None:
    assert found["unknown"].startswith("No model of that name is served., '404")
    assert found["no token"].startswith("A valid access token is needed., '401")


@pytest.fixture(scope="module")
def found_by_grpc(server: LiveServer) -> dict[str, Any]:
    token = server.token("infer models:read")
    return facts(
        "kserve_grpc", address=server.grpc, token=token, model="colours", shape=[2, 3, SIDE, SIDE]
    )


def test_kserve_grpc_client_reads_health(found_by_grpc: dict[str, Any]) -> None:
    names = ("live", "ready", "model ready", "other ready")
    assert [found_by_grpc[name] for name in names] == [True, True, True, False]


def test_kserve_grpc_client_gets_the_outputs_of_onnx_runtime(
    found_by_grpc: dict[str, Any], colours: Path
) -> None:
    expected = by_onnxruntime(colours / "colours" / "1" / "model.onnx", images(2))
    assert len(found_by_grpc["outputs"]) == 2
    for output in found_by_grpc["outputs"]:
        assert np.allclose(output, expected, rtol=1e-6)
    assert found_by_grpc["id"] == "mine"


def test_kserve_grpc_client_understands_refusals(found_by_grpc: dict[str, Any]) -> None:
    assert found_by_grpc["unknown"] == ["NOT_FOUND", "No model of that name is served."]
    assert found_by_grpc["no token"] == ["UNAUTHENTICATED", "A valid access token is needed."]
