"""A camera with a snapshot URL, on a real socket; tests choose what it shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SnapshotCamera:
    """The current answer of the camera.

    Attributes:
        body, status, content_type: of the next answers.
        requests: number of answers so far.
        authorization: of the last request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.body, self.status, self.content_type = b"", 200, "image/jpeg"
        self.requests = 0
        self.authorization: str | None = None

    def show(self, image: bytes, content_type: str = "image/jpeg") -> None:
        """Answer with this picture from now on."""
        self.body, self.status, self.content_type = image, 200, content_type

    def fail(self, status: int) -> None:
        """Answer with this status from now on."""
        self.body, self.status, self.content_type = b"no", status, "text/plain"


@contextmanager
def snapshot_camera(port: int = 0) -> Iterator[SnapshotCamera]:
    """Serve a camera; ``port``: 0 for a free one."""
    camera = SnapshotCamera()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            camera.requests += 1
            camera.authorization = self.headers.get("authorization")
            self.send_response(camera.status)
            self.send_header("content-type", camera.content_type)
            self.send_header("content-length", str(len(camera.body)))
            if camera.status == 401:
                self.send_header("www-authenticate", 'Basic realm="camera"')
            self.end_headers()
            self.wfile.write(camera.body)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    ThreadingHTTPServer.allow_reuse_address = True
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        camera.url = f"http://127.0.0.1:{server.server_address[1]}/snapshot.jpg"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield camera
        finally:
            server.shutdown()
            thread.join()
