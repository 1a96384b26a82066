"""Address and scheme of the original caller of requests from a trusted proxy."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.transport.proxies import TrustedProxies

SCHEMES = {b"http": "http", b"https": "https"}


class ForwardedHeaders:
    """Pure ASGI, outermost: sets ``client`` and ``scheme`` to those behind a trusted proxy."""

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app, self._proxies = app, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; leave it as it is unless a trusted proxy sent it."""
        client = scope.get("client")
        if client and self._proxies.trusts(client[0]):
            self._look_behind(scope, client[0])
        await self._app(scope, receive, send)

    def _look_behind(self, scope: Scope, peer: str) -> None:
        hops, schemes = list[bytes](), list[bytes]()
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops.append(value)
            elif name == b"x-forwarded-proto":
                schemes.append(value)
        address = self._proxies.client(peer, b",".join(hops).decode("latin-1"))
        scope["client"] = (address, 0)  # the port is unknown
        # Several headers contradict each other; one may be the caller's.
        if len(schemes) == 1 and (scheme := SCHEMES.get(schemes[0].strip().lower())):
            scope["scheme"] = scheme
