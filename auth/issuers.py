"""Published keys of trusted issuers, fetched in the background.

Every issuer has its own task that fetches its keys periodically; an issuer that is down keeps its
known keys and does not affect others. An unknown key id causes an immediate fetch, but at a limited
rate: anyone can invent key ids.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from auth.issuer_settings import IssuerSettings, SafeUrl
from auth.keys import MAX_RSA_BITS, MIN_RSA_BITS
from auth.signing.tokens import VerificationKey, verification_key
from observability.logs.logging import get_logger

if TYPE_CHECKING:
    import httpx

OK = 200
TIMEOUT_SECONDS = 2.5
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 64
MAX_REASON_CHARS = 200
UNKNOWN_KEY_SECONDS = 5.0
"""Minimum time between fetches, however many key ids are unknown."""
RETRY_SECONDS = 15.0
"""Longest pause after a failed fetch."""
STALE_SECONDS = 24 * 3600.0
"""How long the keys of an issuer that does not answer stay valid."""


class _Discovery(BaseModel):
    """The members that we use of ``/.well-known/openid-configuration``."""

    issuer: str
    jwks_uri: SafeUrl


class _PublicKey(BaseModel):
    """A JSON Web Key (RFC 7517), limited to the members that we use."""

    kty: str
    kid: str = Field(min_length=1, max_length=255)
    use: str = "sig"
    alg: str | None = None
    crv: str | None = None
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""

    def verification_key(self) -> VerificationKey | None:
        """Convert the key; return None if it is not for signatures or not supported."""
        algorithm = {("EC", "P-256"): "ES256", ("RSA", None): "RS256"}.get((self.kty, self.crv))
        if self.use != "sig" or algorithm is None or self.alg not in (None, algorithm):
            return None
        try:
            if algorithm == "RS256" and not MIN_RSA_BITS <= _bits(self.n) <= MAX_RSA_BITS:
                return None
            members = self.model_dump(include={"kty", "crv", "n", "e", "x", "y"})
            return verification_key(members, algorithm)
        except ValueError:
            return None


class _KeyList(BaseModel):
    keys: list[object] = Field(max_length=MAX_KEYS)


class _Issuer:
    """State of one issuer: its keys, and when the last fetch of them ended."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.keys: dict[str, VerificationKey] = {}
        self.looked_at = self.answered_at = float("-inf")
        self.fault: str | None = "not asked yet"
        self.lock = asyncio.Lock()


class TrustedIssuers:
    """Keys by issuer and key id; see ``auth.signing.verifier.IssuerKeys``."""

    def __init__(
        self,
        settings: tuple[IssuerSettings, ...],
        *,
        client: httpx.AsyncClient | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_look: Callable[[str, bool], None] = lambda _name, _is_up: None,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch nothing yet.

        Args:
            client: HTTP client; if absent, ``running`` creates one.
            on_change: called when an issuer withdrew or replaced a key.
            on_look: called with an issuer's name and whether its keys could be read.
            timeout: seconds for one fetch in total.
            monotonic: seconds that never go back.
        """
        self._issuers = {one.issuer: _Issuer(one) for one in settings}
        self._client, self._timeout, self._monotonic = client, timeout, monotonic
        self._on_change, self._on_look = on_change, on_look

    def settings_of(self, issuer: str) -> IssuerSettings | None:
        """Return the settings for tokens with that ``iss``, or None if it is not trusted."""
        known = self._issuers.get(issuer)
        return known.settings if known else None

    def key(self, issuer: str, kid: str) -> VerificationKey | None:
        """Return the issuer's published key with that id, or None."""
        return self._issuers[issuer].keys.get(kid)

    def faults(self) -> dict[str, str]:
        """Return the error of the last fetch by issuer name, for issuers where it failed."""
        return {one.settings.name: one.fault for one in self._issuers.values() if one.fault}

    async def look_again(self, issuer: str) -> None:
        """Fetch an issuer's keys, unless that was tried a moment ago. Never raises.

        Concurrent callers wait for one fetch.
        """
        known = self._issuers[issuer]
        async with known.lock:
            if self._monotonic() - known.looked_at >= UNKNOWN_KEY_SECONDS:
                await self._look(known)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch every issuer's keys periodically in the background; do not wait for them."""
        async with contextlib.AsyncExitStack() as stack:
            if self._issuers and self._client is None:
                import httpx  # takes 40 ms and 5 MiB; most have no issuers

                self._client = await stack.enter_async_context(
                    httpx.AsyncClient(timeout=self._timeout, follow_redirects=False)
                )
            tasks = [asyncio.create_task(self._watch(one)) for one in self._issuers.values()]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, known: _Issuer) -> None:
        self._on_look(known.settings.name, False)  # noqa: FBT003 - not up yet
        while True:
            async with known.lock:
                await self._look(known)
            pause = known.settings.refresh_seconds
            await asyncio.sleep(min(RETRY_SECONDS, pause) if known.fault else pause)

    async def _look(self, known: _Issuer) -> None:
        began = self._monotonic()
        fault: str | None
        try:
            # Limit the total: httpx restarts its timeout on every read.
            async with asyncio.timeout(self._timeout):
                keys = await self._fetch_keys(known.settings)
        except Exception as error:  # noqa: BLE001 - the task must go on, to drop stale keys
            fault = _fault(error)
            keys = {} if began - known.answered_at > STALE_SECONDS else known.keys
        else:
            # An issuer that withdrew every key has revoked every token.
            fault = None if keys else "it publishes no key that we can use"
            known.answered_at = began
        finally:
            # From the end of the fetch: waiting callers must not each ask a hanging issuer.
            known.looked_at = self._monotonic()
        if fault != known.fault:
            log, name = get_logger("auth"), known.settings.name
            if fault:
                log.warning("issuer does not answer", issuer=name, reason=fault)
            else:
                log.info("issuer answers", issuer=name, keys=len(keys))
        known.fault = fault
        self._on_look(known.settings.name, fault is None)
        old, known.keys = known.keys, keys
        if any(kid not in keys or not _are_same(key, keys[kid]) for kid, key in old.items()):
            self._on_change()

    async def _fetch_keys(self, settings: IssuerSettings) -> dict[str, VerificationKey]:
        url = settings.jwks_url
        if url is None:
            place = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            discovery = _Discovery.model_validate(await self._fetch(place))
            if discovery.issuer != settings.issuer:
                message = "its discovery document is another issuer's"
                raise ValueError(message)
            url = discovery.jwks_uri
            if (urlsplit(place).scheme, urlsplit(url).scheme) == ("https", "http"):
                message = "its discovery document leads from https to http"
                raise ValueError(message)
        keys: dict[str, VerificationKey] = {}
        for entry in _KeyList.model_validate(await self._fetch(url)).keys:
            try:
                public = _PublicKey.model_validate(entry)
            except ValidationError:
                continue  # an unknown kind of key
            if key := public.verification_key():
                keys[public.kid] = key
        return keys

    async def _fetch(self, url: str) -> object:
        assert self._client is not None  # noqa: S101 - made by ``running``
        body = bytearray()
        # Uncompressed: a few compressed bytes may expand to gigabytes before they are counted.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != OK:
                message = f"it answered {answer.status_code}"
                raise ValueError(message)
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    message = "its answer is too long"
                    raise ValueError(message)
        try:
            return json.loads(body)
        except RecursionError:
            message = "its answer is nested too deeply"
            raise ValueError(message) from None


def _bits(number: str) -> int:
    """Return the bit length of a base64url integer (RFC 7518, section 2)."""
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()


def _are_same(one: VerificationKey, other: VerificationKey) -> bool:
    return one.algorithm == other.algorithm and one.key.to_dict() == other.key.to_dict()


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError | json.JSONDecodeError | UnicodeDecodeError):
        return "its answer is not what it should be"
    return str(error)[:MAX_REASON_CHARS] or type(error).__name__
