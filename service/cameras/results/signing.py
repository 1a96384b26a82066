"""Requests of webhooks, signed as Standard Webhooks 1.0 describes (standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

import orjson

from schemas.cameras import CameraEvent


@dataclass(frozen=True, slots=True)
class Signed:
    """A request: its headers and body."""

    headers: dict[str, str]
    body: bytes


class Signer:
    """Builds the requests of one target."""

    def __init__(self, key: bytes, output: str, user_agent: str) -> None:
        """Create the signer.

        Args:
            key: of the HMAC.
            output: name of the output, part of each message's id.
            user_agent: sent with every request.
        """
        self._key, self._output, self._user_agent = key, output, user_agent

    def sign(self, event: CameraEvent, now: float) -> Signed:
        """Return the request for an event, signed at Unix time ``now``.

        Its ``webhook-id`` and body are the same for every attempt; the timestamp and the signature
        are not.
        """
        body = body_of(event)
        identity, timestamp = message_id(event, self._output), str(int(now))
        signed = b".".join((identity.encode(), timestamp.encode(), body))
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "user-agent": self._user_agent,
            "webhook-id": identity,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        return Signed(headers, body)


def body_of(event: CameraEvent) -> bytes:
    """Return the JSON that is posted: ``type``, ``timestamp`` (of the event) and ``data``."""
    data = event.model_dump(mode="json")
    return orjson.dumps({"type": f"camera.{event.kind}", "timestamp": data["at"], "data": data})


def message_id(event: CameraEvent, output: str) -> str:
    """Return the ``webhook-id``: the same whenever this event is sent to this output.

    The time of the event is part of it: a new store counts its events from 1 again.
    """
    unique = f"{output}|{event.id}|{event.camera}|{event.at.timestamp():.6f}"
    return f"msg_{event.id}_{hashlib.sha256(unique.encode()).hexdigest()[:16]}"
