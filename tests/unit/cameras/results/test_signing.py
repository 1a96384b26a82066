"""Signed requests of webhooks, and the documented code that verifies them."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from service.cameras.results.signing import Signer, message_id
from service.settings.results import secret_key
from tests.support.repository import ROOT
from tests.support.results.fakes import event

TEXT = "a secret of sixteen characters or more"
BASE64 = "whsec_" + base64.b64encode(bytes(range(32))).decode()
MOST_LINES = 15
CONTENT = (
    "msg_7_111c84a5a32e5e1a.1800000000."
    '{"type":"camera.state","timestamp":"2026-12-01T08:00:07Z","data":{"id":7,"camera":"door",'
    '"kind":"state","at":"2026-12-01T08:00:07Z","state":"open","previous":"closed",'
    '"score":0.9,"model":"doors","version":1}}'
)
SIGNATURE = "v1,hz50JBPBa0Zfw1ChQmasUMUbdL7daCo0ASi8CD1Mi08="
Verify = Callable[[str, Mapping[str, str], bytes], bool]


@pytest.fixture(scope="module")
def is_genuine() -> Verify:
    """The code in the documentation."""
    document = (ROOT / "docs/cameras-results.md").read_text()
    found = re.search(r"```python\n(.*?)```", document, re.DOTALL)
    assert found
    assert len(found[1].splitlines()) <= MOST_LINES
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102 - our own document
    verify: Verify = names["is_genuine"]
    return verify


@pytest.mark.parametrize("secret", [TEXT, BASE64])
def test_documented_code_verifies_a_request(is_genuine: Verify, secret: str) -> None:
    signed = Signer(secret_key(secret), "webhook:a", "Potoo/0").sign(event(7), time.time())
    assert is_genuine(secret, signed.headers, signed.body)
    assert not is_genuine("another secret", signed.headers, signed.body)
    assert not is_genuine(secret, signed.headers, signed.body + b" ")
    for name in ("webhook-id", "webhook-timestamp"):
        changed = {**signed.headers, name: signed.headers[name].replace("7", "8") + "1"}
        assert not is_genuine(secret, changed, signed.body)
    rotated = signed.headers["webhook-signature"] + " v1,AAAA"
    assert is_genuine(secret, {**signed.headers, "webhook-signature": rotated}, signed.body)


def test_documented_code_refuses_a_replay(is_genuine: Verify) -> None:
    signed = Signer(TEXT.encode(), "webhook:a", "Potoo/0").sign(event(7), time.time() - 301)
    assert not is_genuine(TEXT, signed.headers, signed.body)


def test_signature_is_that_of_the_standard() -> None:
    # openssl dgst -sha256 -mac HMAC -macopt key:kkkkkkkkkkkkkkkkkkkkkkkk -binary | base64
    signed = Signer(b"k" * 24, "webhook:a", "Potoo/0").sign(event(7), 1_800_000_000.9)
    content = f"{signed.headers['webhook-id']}.1800000000.{signed.body.decode()}"
    assert signed.headers["webhook-timestamp"] == "1800000000"
    assert content == CONTENT
    assert signed.headers["webhook-signature"] == SIGNATURE


def test_body_has_type_time_and_the_event() -> None:
    body = json.loads(Signer(b"k" * 24, "webhook:a", "Potoo/0").sign(event(7), 0).body)
    assert body["type"] == "camera.state"
    assert body["data"] == event(7).model_dump(mode="json")
    assert body["timestamp"] == body["data"]["at"]
    silent = event(8, kind="silent")
    assert json.loads(Signer(b"", "", "").sign(silent, 0).body)["type"] == "camera.silent"


def test_id_is_that_of_the_event_and_the_output() -> None:
    same = {message_id(event(7), "webhook:a") for _ in range(2)}
    others = {
        message_id(event(8), "webhook:a"),
        message_id(event(7), "webhook:b"),
        # A new store counts from 1 again.
        message_id(event(7, at=event(7).at + timedelta(days=1)), "webhook:a"),
    }
    assert len(same) == 1
    assert len(same | others) == 4
