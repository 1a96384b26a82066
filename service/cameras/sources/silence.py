"""How long an open connection to a camera may be silent before the camera is asked anew.

A connection to a camera that restarted, or that a router forgot, stays open and silent for ever.
So that a camera is back within five seconds of its return, this time, the pause before the next
attempt (``pipeline/backoff.py``) and the opening must not take longer together.

A camera that needs longer for a picture cannot be asked every second either: its interval counts.
"""

from __future__ import annotations

from service.cameras.sources.source import SourceSpec

BACK_SECONDS = 5.0
"""From the return of a camera to its next frame, at intervals up to ``RTSP_SECONDS``."""
HTTP_SECONDS = 3.5
"""Some cameras take seconds for a snapshot; a new connection is answered at once."""
RTSP_SECONDS = 2.0
"""Packets come many times a second; to open the stream takes a process and a key frame."""


def allowed_silence(spec: SourceSpec, least: float) -> float:
    """Return the seconds between two pieces of data: the interval, if it is longer than ``least``.

    At most ``spec.timeout``.
    """
    return min(spec.timeout, max(least, spec.every_seconds))
