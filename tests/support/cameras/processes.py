"""The decoding processes of this process."""

from __future__ import annotations

import psutil


def decoding_processes() -> list[psutil.Process]:
    """Return those that run."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "video.child" in " ".join(child.cmdline())]
