"""What the process asks of the interpreter, the C library and the kernel, and says to systemd."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import socket
import sys

from observability.logging import get_logger

# With the default of 5 ms a thread that wants the interpreter waits that long for one that
# computes; see docs/decisions/threads.md.
SWITCH_INTERVAL = 0.0005
_M_MMAP_THRESHOLD = -3  # malloc.h
_MMAP_BYTES = 2**20


def tune() -> None:
    """Call once in every process that serves or measures."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    _allow_many_connections()
    _give_pictures_back()


def spare_the_collector() -> None:
    """Takes what is there now out of the cyclic collector's sight. Call once all is started.

    It looks at every object each time it looks at the old ones, and everybody waits meanwhile:
    80 ms for the 160,000 of a started server, none of which will ever be garbage.
    """
    gc.collect()
    gc.freeze()


def give_memory_back() -> None:
    """Has glibc return what is free, after something large was: a model, say.

    The interpreter's own collector is left alone: it would hold up every thread for as long as it
    looks at everything there is, and a model's memory hangs in no cycle.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def tell_systemd(state: str) -> None:
    """Sends ``READY=1`` or the like where systemd waits for it (sd_notify(3)); else nothing."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    if address.startswith("@"):  # an abstract one
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.sendto(state.encode(), address)
    except OSError as error:  # it was left over from somebody else's service
        get_logger("server").warning("systemd was not told", reason=error.strerror)


def _allow_many_connections() -> None:
    """Raises the soft limit of open files, often 1,024, to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _give_pictures_back() -> None:
    """Has glibc map blocks of a megabyte and more, and so return them as soon as they are freed.

    Left alone it raises that threshold to the largest block ever freed, up to 32 MiB, and keeps
    what a few large pictures took for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
