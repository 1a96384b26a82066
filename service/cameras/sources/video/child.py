"""Decodes one camera in a process of its own, which the server kills when it hangs.

Run as ``python -m service.cameras.sources.video.child``. Imports PyAV and Pillow, and as little
else as possible. The process ends with its parent, writes no core (memory holds credentials), and
keeps what libraries print away from the messages on stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from service.cameras.sources.video.protocol import (
    REQUEST_LENGTH,
    Failure,
    Message,
    Request,
    pack,
)

NICENESS = 5
MAX_DATA = 2 * 2**30
"""Bytes of private memory: one picture of 8K decoded with all its references takes half."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the request, then send frames until the source fails or the server goes."""
    output = _take_stdout()
    request = _read_request()
    _close_others({0, 1, 2, output, request.descriptor})
    _confine(request.parent)
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    def send(kind: Message, payload: bytes = b"") -> None:
        view = memoryview(pack(kind, payload))
        while view:
            view = view[os.write(output, view) :]

    try:
        failure = _decode(request, send)
        send(Message.FAILED, json.dumps(asdict(failure)).encode())
    except BrokenPipeError:
        pass
    # Destructors of libraries may hang as well.
    os._exit(0)


def _decode(request: Request, send: Callable[[Message, bytes], None]) -> Failure:
    try:
        from service.cameras.sources.video import decoding
    except ImportError:
        return Failure("unsupported", "Install potoo[video] for RTSP, files and USB cameras")
    send(Message.STARTED, b"")
    try:
        return decoding.play(request, send)
    except MemoryError:
        return Failure("decoder", "The video takes more memory than one camera may use")
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - its words may hold the URL and its password
        return Failure("decoder", f"The decoding process failed ({type(error).__name__})")


def _take_stdout() -> int:
    """Return a descriptor for messages; what libraries print to stdout goes nowhere."""
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return output


def _read_request() -> Request:
    (length,) = REQUEST_LENGTH.unpack(_read(REQUEST_LENGTH.size))
    return Request.unpack(_read(length))


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def _close_others(kept: set[int | None]) -> None:
    """Close what was inherited: uvloop closes nothing, and the server's listener is inheritable.

    A decoder that hostile data took over could accept the connections of users, and their tokens.
    """
    for path in tuple(Path("/dev/fd").iterdir()):
        if (descriptor := int(path.name)) not in kept:
            with suppress(OSError):  # that of the listing itself is closed already
                os.close(descriptor)


def _confine(parent: int) -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA, MAX_DATA))
    if sys.platform == "linux":
        # Even while this process is stopped, or hangs in a library.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
