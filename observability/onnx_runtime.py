"""ONNX Runtime without telemetry and without its own log. Import it only from here.

The official builds store a device id and a database of events in the user's cache folder and send
the events to the vendor. An environment variable turns this off; it is read once, during import.

ONNX Runtime logs only to standard error. Its log is off, because the errors that it raises contain
the same text. Errors that it only logs, also during import, are captured for our log.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import BinaryIO

_STDERR = 2
_ERROR, _FATAL = 3, 4
_LINE = re.compile(
    rb"(?:\x1b\[[\d;]*m)?\S+ \S+ \[[VIWEF]:onnxruntime:[^\]]*\] (.*?)(?:\x1b\[m)?\n?"
)
"""A line of ONNX Runtime: time, severity, logger and source, then the message."""
_lock = threading.Lock()


@contextmanager
def _captured() -> Iterator[list[str]]:
    """Collect what ONNX Runtime writes to standard error in the block; filled at its end.

    Other lines, such as records of other threads, are written at the end. Other threads that
    capture wait.
    """
    messages: list[str] = []
    with _lock, _memory_file() as file:
        try:
            stderr = os.dup(_STDERR)
        except OSError:  # standard error is closed
            yield messages
            return
        os.dup2(file.fileno(), _STDERR)
        try:
            yield messages
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            file.seek(0)
            for line in file:
                if match := _LINE.fullmatch(line):
                    messages.append(match[1].decode(errors="replace"))
                else:
                    os.write(_STDERR, line)


def _memory_file() -> BinaryIO:
    """Create a file without a writable folder, if the system supports such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


os.environ["ORT_DISABLE_TELEMETRY"] = "1"
with _captured() as _messages:
    import onnxruntime as ort
for _message in _messages:  # about hardware that is absent, such as GPUs
    logging.getLogger("onnxruntime").info(_message)
ort.set_default_logger_severity(_FATAL)

__all__ = ["errors_that_are_only_logged", "ort", "part"]


def part(name: str) -> ModuleType:
    """Import a part of ONNX Runtime, such as ``quantization``."""
    return import_module(f"onnxruntime.{name}")


@contextmanager
def errors_that_are_only_logged() -> Iterator[list[str]]:
    """Collect the errors that ONNX Runtime logs in the block without raising them.

    Execution providers that fail to start are such errors. The list is filled at the block's end.
    """
    with _captured() as messages:
        ort.set_default_logger_severity(_ERROR)
        try:
            yield messages
        finally:
            ort.set_default_logger_severity(_FATAL)
