"""A local web server that serves one file, can fail, and records its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.support.servers.stand_in import stand_in


class FileServer:
    """``/file`` is the content; ``/to?<location>`` redirects; ``/loop`` for ever; else 404.

    ``cut_after``: bytes after which the connection ends, once. ``etag``: None for none.
    ``paths``, ``ranges`` and ``begins`` record the requests for it: path, range and first byte sent.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.cut_after: int | None = None
        self.takes_ranges = True
        self.says_length = True
        self.paths: list[str] = []
        self.ranges: list[str | None] = []
        self.begins: list[int] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        if path in {"/to", "/loop"}:
            request.send_response(302)
            request.send_header("location", query or "/loop")
            request.send_header("content-length", "0")
            request.end_headers()
        elif path.endswith("/file"):
            self.paths.append(path)
            self._send(request)
        else:
            request.send_error(404)

    def _send(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("range")
        self.ranges.append(wanted)
        begin = 0
        if wanted and self.takes_ranges and request.headers.get("if-range") == self.etag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        total = len(self.content)
        if begin >= total:
            request.send_error(416)
            return
        self.begins.append(begin)
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("content-range", f"bytes {begin}-{total - 1}/{total}")
        if self.says_length:
            request.send_header("content-length", str(total - begin))
        if self.etag:
            request.send_header("etag", self.etag)
        request.end_headers()
        body = self.content[begin:]
        if self.cut_after is not None:
            body, self.cut_after = body[: self.cut_after], None
        request.wfile.write(body)
        request.close_connection = True


@contextmanager
def file_server(content: bytes) -> Iterator[FileServer]:
    """Serve on a free port until the block ends."""
    files = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.answer(self)

    with stand_in(Handler) as (host, port):
        files.url = f"http://{host}:{port}"
        yield files
