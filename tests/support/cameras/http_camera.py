"""An HTTP camera over a real socket, whose answers are written byte by byte: well, or badly."""

from __future__ import annotations

import asyncio
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.request import parse_http_list, parse_keqv_list

from PIL import Image

Headers = dict[str, str]
Answer = Callable[["HttpCamera", Headers, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HttpCamera:
    """A camera that answers each request as ``answer`` does, and closes the connection.

    Attributes:
        targets: path and query of each request.
        headers: of each request, with names in lower case.
        sent: bytes of endless bodies that the client took.
    """

    answer: Answer
    port: int = 0
    targets: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    sent: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has closed its connection while it was answered."""

    def url(
        self, path: str = "/snapshot.jpg", host: str = "127.0.0.1", scheme: str = "http"
    ) -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.strip().split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.targets.append(request.split()[1])
            self.headers.append(headers)
            await self.answer(self, headers, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def http_camera(
    answer: Answer, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpCamera]:
    """Run a camera on a free port."""
    camera = HttpCamera(answer)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(camera.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def picture(colour: str = "red", size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    """Return a small image."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def responding(
    body: bytes, status: str = "200 OK", headers: str = "", *, version: str = "1.1"
) -> Answer:
    """Answer with a body and its length."""
    head = f"HTTP/{version} {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()
    return sending(head + body)


def sending(data: bytes) -> Answer:
    """Answer with these bytes, and close."""

    async def answer(_camera: HttpCamera, _headers: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def endless(head: bytes, piece: bytes, pause: float = 0) -> Answer:
    """Answer with ``head`` and then ``piece`` again and again, until the client goes."""

    async def answer(camera: HttpCamera, _headers: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.transport.is_closing():
            writer.write(piece)
            await writer.drain()
            camera.sent += len(piece)
            await asyncio.sleep(pause)
        camera.gone.set()

    return answer


def silent(head: bytes = b"") -> Answer:
    """Answer with ``head``, and then nothing more."""

    async def answer(_camera: HttpCamera, _headers: Headers, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.Event().wait()

    return answer


def basic(user: str, password: str, answer: Answer) -> Answer:
    """Ask for a user and password by ``Basic``."""
    from base64 import b64encode

    wanted = "Basic " + b64encode(f"{user}:{password}".encode()).decode()

    async def guarded(camera: HttpCamera, headers: Headers, writer: asyncio.StreamWriter) -> None:
        is_right = headers.get("authorization") == wanted
        refusal = responding(b"no", "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n')
        await (answer if is_right else refusal)(camera, headers, writer)

    return guarded


def digest(user: str, password: str, answer: Answer, *, also: str = "") -> Answer:
    """Ask for a user and password by ``Digest`` (RFC 7616), with MD5 as cameras do.

    Args:
        also: another challenge beside it.
    """

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def is_right(camera: HttpCamera, authorization: str) -> bool:
        scheme, _, fields = authorization.partition(" ")
        if scheme != "Digest":
            return False
        said = parse_keqv_list(parse_http_list(fields))
        first = md5(f"{user}:cam:{password}")
        second = md5(f"GET:{camera.targets[-1]}")
        middle = f"abc:{said['nc']}:{said['cnonce']}:auth"
        return said["response"] == md5(f"{first}:{middle}:{second}") and said["nonce"] == "abc"

    async def guarded(camera: HttpCamera, headers: Headers, writer: asyncio.StreamWriter) -> None:
        challenge = f'{also}WWW-Authenticate: Digest realm="cam", nonce="abc", qop="auth"\r\n'
        refusal = responding(b"no", "401 Unauthorized", challenge)
        passes = is_right(camera, headers.get("authorization", ""))
        await (answer if passes else refusal)(camera, headers, writer)

    return guarded


def mjpeg(*images: bytes, header: str = "boundary=b", delimiter: bytes = b"--b") -> bytes:
    """Return motion JPEG of these images, from the status line on."""
    head = f"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; {header}\r\n\r\n"
    return head.encode() + parts(*images, delimiter=delimiter)


def parts(*images: bytes, delimiter: bytes = b"--b") -> bytes:
    """Return parts of motion JPEG, without length."""
    return b"".join(delimiter + b"\r\n\r\n" + image + b"\r\n" for image in images)
