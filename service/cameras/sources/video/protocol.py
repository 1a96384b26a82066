"""Messages between the server and a decoding process, over the process's stdin and stdout.

The server writes one request (so that credentials are in no argument and no environment), and
leaves stdin open: its end tells the process that the server is gone. The process writes messages:

    kind, 1 byte | length of the payload, 4 bytes, big-endian | payload

Imports nothing of ours, since the decoding process stays small.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from enum import Enum

HEADER = struct.Struct(">cI")
REQUEST_LENGTH = struct.Struct(">I")
DEVICES = "v4l2"
"""FFmpeg's format of USB cameras."""


class Message(Enum):
    """Kinds of messages of the decoding process."""

    STARTED = b"S"
    """The process runs and its libraries are loaded."""
    OPENED = b"O"
    """The source is open."""
    ALIVE = b"A"
    """Data arrive, though no frame is due."""
    FRAME = b"F"
    """A JPEG."""
    REDIRECTED = b"R"
    """A URL that the source names instead of itself; the process ends."""
    FAILED = b"X"
    """``Failure`` as JSON; the process ends."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no more frames. ``reason`` is the value of a ``CameraFailure``."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Request:
    """Options of a decoding process.

    Attributes:
        parent: process id of the server.
        url: with credentials; of a device, its path; unused if there is a descriptor.
        descriptor: of a file, opened by the server.
        format: of FFmpeg; None to detect it.
        options: of FFmpeg.
        is_live: the source sets the pace; else frames are played at the file's own, in a loop.
        every: seconds between two frames.
        part: share of width and height that is wanted, (0, 1].
        timeout: seconds to open the source.
        silence: seconds between two pieces of data.
        heartbeat: seconds between two messages while data arrive.
    """

    parent: int
    url: str = field(repr=False)
    descriptor: int | None
    format: str | None
    options: dict[str, str]
    is_live: bool
    every: float
    part: float
    timeout: float
    silence: float
    heartbeat: float

    def pack(self) -> bytes:
        """Return the request as it is sent."""
        body = json.dumps(asdict(self)).encode()
        return REQUEST_LENGTH.pack(len(body)) + body

    @classmethod
    def unpack(cls, body: bytes) -> Request:
        """Parse a request, without its length."""
        return cls(**json.loads(body))


def pack(kind: Message, payload: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    return HEADER.pack(kind.value, len(payload)) + payload
