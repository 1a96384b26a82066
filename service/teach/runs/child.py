"""The process that teaches: computes features, fits, judges and grafts, at the lowest priority.

Run as ``python -m service.teach.runs.child PARENT``, the process id of the server. It reads jobs on
stdin and says how they go on stdout, a line of JSON each. It ends with its parent, and writes no
core. What libraries print is kept away from the messages.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from service.teach.runs.job import Message

NICENESS = 19
MAX_THREADS = 4
_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD = -3  # malloc.h
_MMAP_BYTES = 2**20


def main() -> None:
    """Do jobs until the server closes stdin, or goes."""
    output = _take_stdout()
    _give_back_at_once()
    _confine(int(sys.argv[1]))
    threads = min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2, MAX_THREADS)
    from service.teach.runs.job import Job, Message, Said
    from service.teach.runs.teaching import Teacher

    def say(message: Message) -> None:
        output.write(message.line())
        output.flush()

    teacher = Teacher(threads=threads)
    with suppress(BrokenPipeError):
        say(Message(said=Said.READY))
        for line in sys.stdin.buffer:
            teacher.do(Job.parse(line), say)
            _give_memory_back()
    # Destructors of libraries may hang.
    os._exit(0)


def _take_stdout() -> BinaryIO:
    """Return a file for messages; what libraries print to stdout goes nowhere."""
    output = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return output


def _give_back_at_once() -> None:
    """Have large blocks returned to the system when they are freed; see ``process.tune``."""
    with suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)


def _give_memory_back() -> None:
    """Return free memory to the system: the process waits for minutes."""
    with suppress(AttributeError, OSError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _confine(parent: int) -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        # Even while this process is stopped, or hangs in a library.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the server died before
        os._exit(0)


if __name__ == "__main__":
    main()
