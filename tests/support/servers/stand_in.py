"""Run an HTTP request handler on a free port, in threads, as a fake server."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not report disconnected callers, which some tests cause."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _silent(handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
    return type(handler.__name__, (handler,), {"log_message": lambda *_: None})


@contextmanager
def stand_in(
    handler: type[BaseHTTPRequestHandler],
    *,
    at_end: Callable[[], object] = bool,
    leaves_callers: bool = False,
) -> Iterator[tuple[str, int]]:
    """Its address.

    Args:
        at_end: releases waiting requests.
        leaves_callers: whether the end does not wait for open connections.
    """
    with _Server(("127.0.0.1", 0), _silent(handler)) as server:
        server.daemon_threads = leaves_callers
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            at_end()
            server.shutdown()
            thread.join()
