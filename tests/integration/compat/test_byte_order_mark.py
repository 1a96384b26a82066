"""JSON that begins with a byte order mark is accepted at every endpoint (RFC 8259, section 8.1)."""

from __future__ import annotations

import codecs
import gzip
import json
from typing import Any

import httpx
import pytest

from tests.support.callers.accounts import bearer
from tests.support.models.pictures import RED, plain
from tests.support.servers.drop_in import b64
from tests.support.servers.server import LiveServer

IMAGE = b64(plain(RED))["b64"]
PIXELS = {"name": "image", "datatype": "FP32", "shape": [1, 3, 32, 32], "data": [0.5] * 3072}
BODIES: dict[str, object] = {
    "/v1/classify": {"image": IMAGE},
    "/v2/models/colours/infer": {"inputs": [PIXELS]},
    "/v2/repository/index": {"ready": True},
    "/v2/repository/models/colours/load": {"parameters": {}},
    "/v1/models/colours:predict": {"instances": [b64(plain(RED))]},
    "/v1/models/colours:classify": {"examples": [{"image": b64(plain(RED))}]},
}
SCOPES = "classify infer models:read models:write admin"


def marked(body: object) -> bytes:
    return codecs.BOM_UTF8 + json.dumps(body).encode()


def post(server: LiveServer, path: str, body: bytes, **headers: str) -> httpx.Response:
    headers = {"content-type": "application/json", **headers, **bearer(server.token(SCOPES))}
    return httpx.post(server.url + path, content=body, headers=headers, timeout=30)


@pytest.mark.parametrize("path", BODIES)
def test_byte_order_mark_is_ignored(drop_in: LiveServer, path: str) -> None:
    answer = post(drop_in, path, marked(BODIES[path]))
    assert answer.is_success, answer.text


def test_byte_order_mark_is_ignored_by_administration(drop_in: LiveServer) -> None:
    added = post(drop_in, "/v1/admin/clients", marked({"name": "marked"}))
    assert added.status_code == 201, added.text
    with drop_in.client("admin") as admin:
        assert admin.delete("/v1/admin/clients/marked").is_success


def test_mark_counts_as_json_in_front_of_binary_tensors(drop_in: LiveServer) -> None:
    tensor: dict[str, Any] = {name: PIXELS[name] for name in ("name", "datatype", "shape")}
    head = marked({"inputs": [tensor | {"parameters": {"binary_data_size": 3072 * 4}}]})
    length = {"inference-header-content-length": str(len(head))}
    answer = post(drop_in, "/v2/models/colours/infer", head + bytes(3072 * 4), **length)
    assert answer.is_success, answer.text


def test_mark_is_ignored_within_a_compressed_body(drop_in: LiveServer) -> None:
    path = "/v1/models/colours:predict"
    packed = gzip.compress(marked(BODIES[path]))
    assert post(drop_in, path, packed, **{"content-encoding": "gzip"}).is_success


def test_mark_alone_is_an_empty_body(drop_in: LiveServer) -> None:
    assert post(drop_in, "/v2/repository/index", codecs.BOM_UTF8).is_success
    assert post(drop_in, "/v1/classify", codecs.BOM_UTF8).status_code == 422


def test_second_mark_is_refused(drop_in: LiveServer) -> None:
    twice = codecs.BOM_UTF8 + marked(BODIES["/v1/classify"])
    assert post(drop_in, "/v1/classify", twice).status_code == 422
