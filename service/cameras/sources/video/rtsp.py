"""Asks an RTSP server whether it is there, before a decoding process is started for it.

That process takes half a second of CPU time to start: too much to be started again and again for a
camera that is off, and FFmpeg hangs where a server accepts a connection and says nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from schemas.cameras import CameraFailure
from service.cameras.sources.addresses import allowed_addresses
from service.cameras.sources.rules import SourceRules
from service.cameras.sources.source import SourceFailed
from service.cameras.sources.tls import tls_context, why_untrusted
from service.cameras.sources.urls import NetworkUrl

_ANSWER = b"RTSP/1."
ASK_AGAIN_SECONDS = 1.0
"""A connection to a camera that restarted meanwhile stays silent for ever; a new one does not."""


async def knock(url: NetworkUrl, rules: SourceRules, timeout: float) -> str:
    """Return the checked address at which an RTSP server answers ``OPTIONS`` (RFC 2326, 10.1).

    No credentials are sent, and any status will do.

    Raises:
        SourceFailed: the address is refused, or no RTSP server answers there.
    """
    addresses = await allowed_addresses(
        url.host, url.port, rules.networks, timeout=timeout, resolve=rules.resolve
    )
    for address in addresses[:-1]:
        with suppress(SourceFailed):
            return await _ask_repeatedly(address, url, rules, timeout)
    return await _ask_repeatedly(addresses[-1], url, rules, timeout)


async def _ask_repeatedly(address: str, url: NetworkUrl, rules: SourceRules, timeout: float) -> str:
    """Ask again each second, on a new connection beside those that wait."""
    asked: list[asyncio.Task[str]] = []
    try:
        async with asyncio.timeout(timeout):
            while True:
                asked.append(asyncio.create_task(_ask(address, url, rules)))
                await asyncio.wait(
                    asked, timeout=ASK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for task in [task for task in asked if task.done()]:
                    # An older connection may well be reset by a camera that is back.
                    if task is asked[-1] or not task.exception():
                        return task.result()
                    asked.remove(task)
    except TimeoutError:
        message = f"The camera says nothing within {timeout:g} s"
        raise SourceFailed(CameraFailure.TIMEOUT, message) from None
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _ask(address: str, url: NetworkUrl, rules: SourceRules) -> str:
    context = tls_context(rules) if url.is_encrypted else None
    writer: asyncio.StreamWriter | None = None
    try:
        reader, writer = await asyncio.open_connection(
            address, url.port, ssl=context, server_hostname=url.host if context else None
        )
        question = f"OPTIONS {url.at(url.host)} RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        writer.write(question.encode("ascii"))
        answer = await reader.readexactly(len(_ANSWER))
    except asyncio.IncompleteReadError:
        raise SourceFailed(CameraFailure.ENDED, "The camera closes the connection") from None
    except OSError as error:
        message = why_untrusted(error) or "The camera accepts no connection"
        raise SourceFailed(CameraFailure.UNREACHABLE, message) from None
    finally:
        if writer is not None:
            writer.transport.abort()
    if answer != _ANSWER:
        message = "What answers at this address is no RTSP server"
        raise SourceFailed(CameraFailure.NOT_AN_IMAGE, message)
    return address
