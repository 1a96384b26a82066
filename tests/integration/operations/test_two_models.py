"""Two models on one pool of threads: a full queue of one does not hold up the other."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.support.callers.accounts import Device, bearer
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import SIDE, colour_graph, write_model
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

pytestmark = pytest.mark.alone

CHANNELS = 256
REQUESTS, ROWS = 3, 64


def slow_graph() -> onnx.ModelProto:
    """``colour_graph`` with a convolution that takes tens of milliseconds and changes nothing."""
    model = colour_graph()
    graph = model.graph
    (scale,) = [node for node in graph.node if node.op_type == "Mul"]
    scale.output[0] = "plain"
    weights = np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    graph.initializer.extend(
        [
            numpy_helper.from_array(weights[:, :3], "first"),
            numpy_helper.from_array(weights, "second"),
            numpy_helper.from_array(np.array([1, 2, 3], np.int64), "all"),
            numpy_helper.from_array(np.array([0], np.float32), "zero"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Conv", ["image", "first"], ["wide"], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["wide", "second"], ["wider"], pads=[1, 1, 1, 1]),
            helper.make_node("ReduceMean", ["wider", "all"], ["level"], keepdims=0),
            helper.make_node("Mul", ["level", "zero"], ["nothing"]),
            helper.make_node("Unsqueeze", ["nothing", "one"], ["column"]),
            helper.make_node("Add", ["plain", "column"], ["logits"]),
        ]
    )
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    return model


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with one thread, a fast model and a slow one."""
    models = tmp_path_factory.mktemp("models")
    write_model(models)
    write_model(models, slow_graph(), name="slow")
    with serve(
        tmp_path_factory.mktemp("both"),
        models=models,
        POTOO_DEFAULT_MODEL="colours",
        POTOO_INFERENCE__WORKERS="1",
        POTOO_INFERENCE__DEFAULT_TIMEOUT_MS="120000",
    ) as live:
        yield live


def depth(server: LiveServer, model: str) -> float:
    """How many images the model holds, by the metrics."""
    text = httpx.get(f"{server.url}/metrics").text
    found = re.search(rf'^potoo_queue_depth{{model="{model}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def flood(both: LiveServer, token: str) -> list[int]:
    """Have the slow model run tensors, all in one request; the shape of the answer."""
    tensor = {
        "name": "image",
        "shape": [ROWS, 3, SIDE, SIDE],
        "datatype": "FP32",
        "data": [0] * (ROWS * 3 * SIDE * SIDE),
    }
    answer = httpx.post(
        f"{both.url}/v2/models/slow/infer",
        json={"inputs": [tensor]},
        headers=bearer(token),
        timeout=120,
    )
    shape: list[int] = answer.raise_for_status().json()["outputs"][0]["shape"]
    return shape


def test_flooded_model_does_not_hold_up_another(both: LiveServer) -> None:
    token = both.token("infer")
    with both.client() as client, ThreadPoolExecutor(REQUESTS) as crowd:
        floods = [crowd.submit(flood, both, token) for _ in range(REQUESTS)]
        # Unpacking a body of this size takes a turn of the threads too.
        assert wait_until(lambda: depth(both, "slow") > ROWS)
        answer = client.post("/v1/classify", files={"file": plain(RED)})
        # In order of arrival it would have been answered behind all of them.
        assert depth(both, "slow") > 0
        assert answer.raise_for_status().json()["predictions"][0]["label"] == "red"
        assert [done.result() for done in floods] == [[ROWS, 3]] * REQUESTS
    assert depth(both, "slow") == 0


def test_account_of_more_weight_is_served_first(both: LiveServer) -> None:
    tokens = []
    for name, weight in (("light", "1"), ("heavy", "100")):
        command = [sys.executable, "-m", "service", "clients", "add", name, "--weight", weight]
        command += ["--scope", "infer", "--data-dir", str(both.data_dir)]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        tokens.append(Device(both, name, made.stdout.strip()).sign_in()["access_token"])
    light, heavy = tokens
    with ThreadPoolExecutor(3) as crowd:
        first = [crowd.submit(flood, both, light) for _ in range(2)]
        assert wait_until(lambda: depth(both, "slow") > ROWS)
        assert crowd.submit(flood, both, heavy).result() == [ROWS, 3]
        # In turns of equal weight, the first of these would have been done before it.
        assert not any(done.done() for done in first)
        assert [done.result() for done in first] == [[ROWS, 3]] * 2
