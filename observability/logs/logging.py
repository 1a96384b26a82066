"""Structured logs on standard error: one event per line, for people or for machines.

Our records and those of libraries are rendered alike. Events carry ids and numbers; bodies,
headers, query strings and tokens are never passed to a logger.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from observability.logs.structlog_alone import structlog
from observability.logs.terminal import takes_colour
from observability.request import current

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

    from observability.settings import ObservabilitySettings

DELAY_SECONDS = 0.02
"""Longest time that the line of a request waits for those of others."""
# Verbose below warning, and redundant with our own events.
QUIET_LIBRARIES = ("uvicorn", "httpx", "httpcore", "aiosqlite", "asyncio", "urllib3", "PIL")


def configure_logging(settings: ObservabilitySettings) -> None:
    """Configure structlog and the root logger to write to standard error."""
    on_terminal = sys.stderr.isatty()
    wants_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not on_terminal
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        _add_timestamp,
        _add_request,
        structlog.processors.format_exc_info,
    ]
    renderer: Processor
    factory: Callable[..., Any]
    if wants_json:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
        # One write of bytes costs half as much as text, whose line end is written separately.
        stream = _Forgiving(sys.stderr.buffer)
        ours: Processor = _JsonRenderer(stream)
        factory = structlog.BytesLoggerFactory(cast("Any", stream))
    else:
        shared += [_show_timestamp, _show_plainly]
        ours = renderer = structlog.dev.ConsoleRenderer(
            colors=takes_colour(sys.stderr), pad_event_to=24
        )
        factory = structlog.WriteLoggerFactory(cast("Any", _Forgiving(sys.stderr)))
    structlog.configure(
        processors=[*shared, ours],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # Malformed requests are counted in the metrics: a line each would let callers fill the disk.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)


def silence_uvicorn() -> None:
    """Silence uvicorn after a failed start, which it would log again with a long traceback."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def log_failed_start(reason: str) -> None:
    """Report why a server cannot start: in the format of the command line at a terminal."""
    if sys.stderr.isatty():
        line = f"potoo: cannot start: {reason}"
        sys.stderr.write(f"\x1b[31m{line}\x1b[0m\n" if takes_colour(sys.stderr) else f"{line}\n")
    else:
        get_logger("server").error("cannot start", reason=reason)


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger whose events carry ``logger=name``."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind(logger=name))


def event_logger(name: str, event: str) -> Callable[..., object]:
    """Return a function that logs ``event`` with its arguments as fields, at level info.

    The line is that of ``get_logger(name).info(event, ...)``. Where lines are JSON it is written
    without structlog's chain of processors: for events that every request has.
    """
    logger, render = get_logger(name), structlog.get_config()["processors"][-1]
    if not isinstance(render, _JsonRenderer):
        return partial(logger.info, event)
    if not logger.is_enabled_for(logging.INFO):
        return _drop
    write = render.stream.write_soon
    first = {"level": "info", "logger": name, "event": event}

    def log(**fields: object) -> None:
        line = {"timestamp": datetime.now(UTC), **first, **fields}
        write(_dumped(_add_request(None, "", line)))

    return log


def _drop(**_: object) -> None:
    """Log nothing."""


class _Forgiving:
    """A stream that ignores failed writes: a full disk loses log lines, not responses."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._scheduled_by: asyncio.AbstractEventLoop | None = None

    def write(self, data: str | bytes) -> None:
        self._write_lines()
        with suppress(OSError):
            self._stream.write(data)

    def flush(self) -> None:
        self._write_lines()
        with suppress(OSError):
            self._stream.flush()

    def write_soon(self, line: bytes) -> None:
        """Write a line within ``DELAY_SECONDS``, with others; at once where no event loop runs.

        A write gives the interpreter's lock up, which a request then has to win back from the
        worker threads.
        """
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if loop is not self._scheduled_by:
            self._scheduled_by = loop
            loop.call_later(DELAY_SECONDS, self._write_scheduled)

    def _write_scheduled(self) -> None:
        self._scheduled_by = None
        self.flush()

    def _write_lines(self) -> None:
        """Write the lines that wait, before any other: each is taken by one thread."""
        lines = []
        with suppress(IndexError):
            while True:
                lines.append(self._lines.popleft())
        if lines:
            with suppress(OSError):
                self._stream.write(b"\n".join([*lines, b""]))


def _add_timestamp(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = datetime.now(UTC)
    return event


def _add_request(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the id of the current request, and of its trace if that is sampled."""
    request = current()
    if request is not None:
        event.setdefault("request_id", request.request_id)
        if request.trace is not None and request.trace.is_sampled:
            event["trace_id"] = request.trace.shown_id
    return event


def _show_timestamp(
    _: object, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["timestamp"] = event["timestamp"].isoformat(timespec="milliseconds")
    return event


def _show_plainly(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Format values for people, not as Python does: "admin, classify" for a list of scopes."""
    for name, value in event.items():
        if not name.startswith("_") and name not in {"exc_info", "stack_info"}:
            event[name] = _plain(value)
    return event


def _plain(value: object) -> object:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return ", ".join(f"{_plain(key)}: {_plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple | AbstractSet):
        return ", ".join(str(_plain(one)) for one in value)
    return value if isinstance(value, int | float) else str(value)


def _json(event: dict[str, object], **_: object) -> str:
    return _json_bytes(event).decode()


class _JsonRenderer:
    """The last processor of events that are written to ``stream`` as JSON."""

    def __init__(self, stream: _Forgiving) -> None:
        self.stream = stream

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> bytes:
        return _json_bytes(event)


def _json_bytes(event: MutableMapping[str, Any]) -> bytes:
    first = {name: event.pop(name, None) for name in ("timestamp", "level", "logger", "event")}
    return _dumped({**first, **event})


def _dumped(line: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(line, default=str)
    except TypeError:  # a lone surrogate, an integer over 64 bits
        return json.dumps(line, default=str).encode()
