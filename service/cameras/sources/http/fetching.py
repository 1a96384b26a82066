"""One GET to a camera: checked addresses, redirects by hand, authentication, no decompression."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

import httpx

from schemas.cameras import CameraFailure
from service.cameras.sources.addresses import allowed_addresses
from service.cameras.sources.http.authentication import CameraAuthentication
from service.cameras.sources.http.pace import FRAME_TIMEOUTS, too_slow
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.silence import HTTP_SECONDS, allowed_silence
from service.cameras.sources.source import SourceFailed, SourceSpec
from service.cameras.sources.tls import tls_context, why_untrusted
from service.cameras.sources.urls import NetworkUrl, parse_network_url

MAX_REDIRECTS = 3
CONNECT_SECONDS = 2.0
"""To connect, at most: the kernel asks again ever more rarely, a new attempt does so at once."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "Accept": "image/jpeg, image/png, multipart/x-mixed-replace, image/*;q=0.8, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    "Connection": "close",
    "User-Agent": "potoo",
}


class Fetcher:
    """Fetches from one camera. A connection serves one request; the digest challenge is kept.

    Args:
        spec: URL, credentials and limits.
        rules: of the operator.

    Attributes:
        silence: seconds between two pieces of data, at most.
    """

    def __init__(self, spec: SourceSpec, rules: SourceRules) -> None:
        self._spec, self._rules = spec, rules
        self._url = parse_network_url(spec.url)
        self._authentication: CameraAuthentication | None = None
        if spec.username is not None:
            self._authentication = CameraAuthentication(spec.username, spec.password or "")
        self._context: ssl.SSLContext | None = None
        self.silence = allowed_silence(spec, HTTP_SECONDS)
        connect = min(CONNECT_SECONDS, self.silence)
        self._timeouts = httpx.Timeout(self.silence, connect=connect).as_dict()

    @asynccontextmanager
    async def get(self) -> AsyncIterator[httpx.Response]:
        """Send a GET; the response's status is 200 and its body is not read.

        Raises:
            SourceFailed: there is no such response.
        """
        async with AsyncExitStack() as stack:
            try:
                # Time-outs of httpx begin anew with every byte.
                async with asyncio.timeout(FRAME_TIMEOUTS * self._spec.timeout):
                    response = await self._follow(stack)
            except TimeoutError:
                raise too_slow() from None
            _check(response)
            yield response

    async def _follow(self, stack: AsyncExitStack) -> httpx.Response:
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(url, stack)
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            await stack.aclose()
            url = url.join(location)
            if url.scheme not in {"http", "https"}:
                break
        message = f"The camera redirects more than {MAX_REDIRECTS} times, or to no HTTP URL"
        raise SourceFailed(CameraFailure.HTTP_STATUS, message)

    async def _send(self, url: NetworkUrl, stack: AsyncExitStack) -> httpx.Response:
        """Send a GET, and again with credentials where the camera asks for them."""
        addresses = await self._addresses(url)
        request = httpx.Request(
            "GET", url.at(url.host), headers={**_HEADERS, "Host": url.authority}
        )
        if self._authentication is None or not _may_have_credentials(self._url, url):
            return await self._send_to(addresses, url, request, stack)
        flow = self._authentication.flow(request)
        outgoing = next(flow)
        while True:
            response = await self._send_to(addresses, url, outgoing, stack)
            try:
                outgoing = flow.send(response)
            except StopIteration:
                return response
            await stack.aclose()

    async def _addresses(self, url: NetworkUrl) -> list[str]:
        return await allowed_addresses(
            url.host,
            url.port,
            self._rules.networks,
            timeout=self._spec.timeout,
            resolve=self._rules.resolve,
        )

    async def _send_to(
        self, addresses: list[str], url: NetworkUrl, request: httpx.Request, stack: AsyncExitStack
    ) -> httpx.Response:
        """Send a request to the first address that accepts a connection."""
        with translated(self.silence):
            for address in addresses[:-1]:
                with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return await self._send_once(address, url, request, stack)
            return await self._send_once(addresses[-1], url, request, stack)

    async def _send_once(
        self, address: str, url: NetworkUrl, request: httpx.Request, stack: AsyncExitStack
    ) -> httpx.Response:
        # httpx's client would read a refused answer whole and unpacked, keep cookies, and log URLs.
        transport = await stack.enter_async_context(
            httpx.AsyncHTTPTransport(verify=self._tls(url), trust_env=False)
        )
        extensions = {
            "timeout": self._timeouts,
            # The certificate is checked against the name, not against the address.
            "sni_hostname": url.host,
        }
        sent = httpx.Request(
            request.method, url.at(address), headers=request.headers, extensions=extensions
        )
        try:
            response = await transport.handle_async_request(sent)
        except AttributeError:
            # anyio asks a connection for its peer that uvloop has closed already.
            raise httpx.RemoteProtocolError("disconnected") from None
        stack.push_async_callback(response.aclose)
        response.request = request
        return response

    def _tls(self, url: NetworkUrl) -> ssl.SSLContext:
        if not url.is_encrypted:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._context is None:
            self._context = tls_context(self._rules)
        return self._context


@contextmanager
def translated(silence: float) -> Iterator[None]:
    """Raise errors of the connection as ``SourceFailed``. ``silence``: the time-out in seconds."""
    try:
        yield
    except httpx.ConnectTimeout:
        message = "The camera accepts no connection in time"
        raise SourceFailed(CameraFailure.TIMEOUT, message) from None
    except httpx.TimeoutException:
        message = f"The camera sends nothing within {silence:g} s"
        raise SourceFailed(CameraFailure.TIMEOUT, message) from None
    except httpx.ConnectError as error:
        message = why_untrusted(error) or "The camera accepts no connection"
        raise SourceFailed(CameraFailure.UNREACHABLE, message) from None
    except httpx.RemoteProtocolError as error:
        if "disconnect" in str(error) or "peer closed" in str(error):
            raise SourceFailed(CameraFailure.ENDED, "The camera closes the connection") from None
        message = "The camera's answer is not HTTP"
        raise SourceFailed(CameraFailure.NOT_AN_IMAGE, message) from None
    except httpx.TransportError:
        raise SourceFailed(CameraFailure.ENDED, "The connection to the camera broke") from None


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status == 401:
        message = "The camera refuses user and password, or asks for them"
        raise SourceFailed(CameraFailure.UNAUTHORIZED, message)
    if status != 200:
        raise SourceFailed(CameraFailure.HTTP_STATUS, f"The camera answers with status {status}")
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in {"", "identity"}:
        message = "The camera's answer is compressed, which was not asked for"
        raise SourceFailed(CameraFailure.NOT_AN_IMAGE, message)


def _may_have_credentials(first: NetworkUrl, url: NetworkUrl) -> bool:
    is_upgrade = (first.scheme, first.port, url.scheme, url.port) == ("http", 80, "https", 443)
    same = (first.scheme, first.port) == (url.scheme, url.port)
    return first.host == url.host and (same or is_upgrade)
