"""A server with all drop-in endpoints enabled, and checks of their errors."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.support.callers.answers import assert_tells_nothing
from tests.support.models.tiny_model import write_model
from tests.support.servers.server import LiveServer, serve

ALL_ON = {
    f"POTOO_COMPATIBILITY__{name}": "true"
    for name in ("KSERVE_V1", "TF_SERVING", "TORCHSERVE", "PREDICT")
}
TEMPERATURES = {1: 1.0, 2: 2.0}
"""Temperatures by version, which identify an answer's. 2 is the default, 1 is ``stable``."""
SCOPES = "classify infer models:read"
_TORCHSERVE = re.compile(r"^[A-Z][A-Za-z]+Exception$")


@contextmanager
def opened(folder: Path, **environment: str) -> Iterator[LiveServer]:
    """The server, with two versions of the colour model."""
    models = folder / "models"
    for version, temperature in TEMPERATURES.items():
        write_model(models, None, version=version, temperature=temperature)
    policy = {"default": 2, "labels": {"stable": 1}}
    (models / "colours" / "serving.json").write_text(json.dumps(policy))
    with serve(folder, models=models, arguments=(), **ALL_ON, **environment) as live:
        yield live


def b64(file: bytes) -> dict[str, str]:
    """An image in JSON, the same in all protocols."""
    return {"b64": base64.b64encode(file).decode()}


def share(logits: list[float], temperature: float) -> list[float]:
    """Calibrated probabilities, computed by hand."""
    raised = np.exp(np.array(logits, np.float64) / temperature)
    shares: list[float] = (raised / raised.sum()).tolist()
    return shares


def refused_by_torchserve(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, type and message of a refusal; checks that it has TorchServe's format."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert list(body) == ["code", "type", "message"]
    assert body["code"] == answer.status_code >= 400
    assert _TORCHSERVE.match(body["type"])
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="')
    # Without the type: a class name, which its clients compare.
    shown = json.dumps(body | {"type": ""}).encode()
    assert_tells_nothing(httpx.Response(answer.status_code, headers=[], content=shown))
    return answer.status_code, body["type"], body["message"]
