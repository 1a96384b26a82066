"""Tune the interpreter, the C library and the kernel for this process; notify systemd."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import socket
import sys

from observability.logs.logging import get_logger

# With the default of 5 ms a thread that wants the interpreter waits that long for one that
# computes; see docs/decisions/threads.md.
SWITCH_INTERVAL = 0.0005
FULL_EVERY = 100
"""Collections of the middle generation for one of all objects; 10 by default."""
_M_MMAP_THRESHOLD = -3  # malloc.h
_MMAP_BYTES = 2**20


def tune() -> None:
    """Tune this process; call once in every process that serves or measures."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    _allow_many_connections()
    _give_pictures_back()


def freeze_gc() -> None:
    """Exclude all existing objects from cyclic garbage collection. Call once start is complete.

    A full collection visits every object while all threads wait: 80 ms for the 160,000 of a started
    server, which are never garbage.

    Later ones are rarer than by default: with a thousand devices each visits some 100,000 objects
    that connections hold. Young garbage is collected as often as ever.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_EVERY)


def give_memory_back() -> None:
    """Return free memory from glibc to the kernel, after a large release such as a model.

    The interpreter's collector is not run: it would block every thread while it visits all objects,
    and a model's memory is in no cycle.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def tell_systemd(state: str) -> None:
    """Send a state such as ``READY=1`` if systemd waits for it (sd_notify(3))."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.sendto(state.encode(), address)
    except OSError as error:  # the variable was inherited from another service
        get_logger("server").warning("cannot notify systemd", reason=error.strerror)


def _allow_many_connections() -> None:
    """Raise the soft limit of open files, often 1,024, to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _give_pictures_back() -> None:
    """Make glibc map blocks of 1 MiB and more, and so return them as soon as they are freed.

    By default it raises that threshold to the largest block ever freed, up to 32 MiB, and never
    returns the memory of a few large images.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
