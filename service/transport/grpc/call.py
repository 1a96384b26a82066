"""One RPC: caller, deadline, and the values for logs and metrics."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from google.protobuf.message import Message

from auth.limiting.limits import Allowance
from auth.principal import Principal
from observability.middleware import request_id
from schemas.errors import Unauthenticated
from service.transport.proxies import TrustedProxies

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from service.transport.grpc.errors import Metadata

REQUEST_ID_KEY = "x-request-id"
FORWARDED_KEY = "x-forwarded-for"
"""If it occurs several times, gRPC returns the last one, which the nearest proxy wrote."""
TRACEPARENT_KEY = "traceparent"
PEERS_KEPT = 256


class Call:
    """Context of one RPC, passed to service methods beside the message."""

    def __init__(
        self, context: ServicerContext[bytes, bytes], proxies: TrustedProxies | None = None
    ) -> None:
        self._context = context
        self._principal: Principal | None = None
        self.began = time.perf_counter()
        self.peer = context.peer()
        self.address = _address(self.peer)
        self.allowance = Allowance()
        self.received = self.sent = 0
        self.authorization: list[str] = []
        self.traceparent = given = hops = ""
        for key, value in context.invocation_metadata() or ():
            text = value if isinstance(value, str) else value.decode("latin-1")
            if key == "authorization":
                self.authorization.append(text)
            elif key == REQUEST_ID_KEY:
                given = given or text
            elif key == FORWARDED_KEY:
                hops = text
            elif key == TRACEPARENT_KEY:
                # Several count as none: joined by a comma they do not parse.
                self.traceparent = f"{self.traceparent},{text}" if self.traceparent else text
        self.request_id = request_id(given.encode())
        if proxies is not None:
            self.address = proxies.client(self.address, hops)

    @property
    def principal(self) -> Principal:
        """The authenticated caller; raises ``Unauthenticated`` if there is none."""
        if self._principal is None:
            raise Unauthenticated
        return self._principal

    @property
    def name(self) -> str | None:
        """The caller's name; None until it is known."""
        return self._principal.name if self._principal else None

    def note(self, principal: Principal) -> None:
        """Record the authenticated caller."""
        self._principal = principal

    @property
    def timeout(self) -> float | None:
        """Seconds until the caller's deadline; None if there is none."""
        left: float | None = self._context.time_remaining()
        return left

    async def read(self) -> bytes | None:
        """Return the next message as bytes; None at the end."""
        message: object = await self._context.read()  # or a mark of the end
        if not isinstance(message, bytes):
            return None
        self.received += len(message)
        return message

    async def write(self, message: Message) -> None:
        """Send a message of a stream."""
        data = message.SerializeToString()
        self.sent += len(data)
        await self._context.write(data)

    def metadata(self) -> Metadata:
        """Return the trailing metadata of every answer: request id and rate limits."""
        rates = tuple((name.decode(), value.decode()) for name, value in self.allowance.headers())
        return ((REQUEST_ID_KEY, self.request_id), *rates)


@lru_cache(PEERS_KEPT)
def _address(peer: str) -> str:
    """Return the address in gRPC's ``ipv4:127.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""
