"""Log format: one event per line, text or JSON, also for libraries' events."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from observability.logs.logging import (
    configure_logging,
    event_logger,
    get_logger,
    log_failed_start,
    silence_uvicorn,
)
from observability.request import enter, leave
from observability.settings import ObservabilitySettings


def configure(**settings: object) -> None:
    configure_logging(ObservabilitySettings.model_validate(settings))


def events(captured: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = captured.readouterr()
    assert out == "", "standard output is for answers"
    return [json.loads(line) for line in err.splitlines()]


def test_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    get_logger("access").info("request", status=200, path=Path("a"), text="two\nlines")
    (event,) = events(capsys)
    written = datetime.fromisoformat(event.pop("timestamp"))
    assert written.tzinfo is not None
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    assert event == {
        "level": "info",
        "logger": "access",
        "event": "request",
        "status": 200,
        "path": "a",
        "text": "two\nlines",
    }


def test_time_level_logger_and_event_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    get_logger("access").info("request", aaa=1)
    (event,) = events(capsys)
    assert list(event) == ["timestamp", "level", "logger", "event", "aaa"]


@pytest.mark.parametrize("settings", [{}, {"log_format": "console"}, {"log_level": "warning"}])
def test_event_of_every_request_has_the_line_of_a_usual_one(
    capsys: pytest.CaptureFixture[str], settings: dict[str, str]
) -> None:
    configure(**{"log_format": "json", **settings})
    fields: dict[str, Any] = {"status": 200, "number": 2**70, "client": None}
    token = enter("an-id", None)
    get_logger("access").info("request", **fields)
    event_logger("access", "request")(**fields)
    leave(token)
    lines = [
        re.sub(r"[0-9T:.+-]{20,}Z?", "", line) for line in capsys.readouterr().err.splitlines()
    ]
    assert len(lines) == (0 if "log_level" in settings else 2)
    assert len(set(lines)) <= 1


@pytest.mark.anyio
async def test_lines_of_requests_are_written_together_and_soon(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(log_format="json")
    log = event_logger("access", "request")
    for number in range(3):
        log(number=number)
    assert capsys.readouterr().err == ""
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(5):
        while not lines:
            lines += events(capsys)
            await asyncio.sleep(0)
    assert [line["number"] for line in lines] == [0, 1, 2]


@pytest.mark.anyio
async def test_waiting_lines_are_written_before_another_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(log_format="json")
    event_logger("access", "request")(number=1)
    get_logger("server").info("stopped")
    assert [line["event"] for line in events(capsys)] == ["request", "stopped"]


def test_lines_are_written_in_the_event_loop_after_one_that_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(log_format="json")
    log = event_logger("access", "request")

    async def logged(number: int, until: int) -> list[dict[str, Any]]:
        log(number=number)
        lines: list[dict[str, Any]] = []
        while len(lines) < until:
            lines += events(capsys)
            await asyncio.sleep(0)
        return lines

    assert asyncio.run(logged(1, until=0)) == []
    lines = asyncio.run(asyncio.wait_for(logged(2, until=2), 5))
    assert [line["number"] for line in lines] == [1, 2]


def test_exception_is_logged_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    try:
        raise ZeroDivisionError("on purpose")
    except ZeroDivisionError:
        get_logger("pool").exception("job raised")
        logging.getLogger("a.library").exception("it raised")
    ours, theirs = events(capsys)
    assert (ours["level"], theirs["level"]) == ("error", "error")
    for event in (ours, theirs):
        assert event["exception"].endswith("ZeroDivisionError: on purpose")


def test_library_record_has_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    logging.getLogger("a.library").warning("%d things", 3)
    (event,) = events(capsys)
    assert (event["event"], event["level"]) == ("3 things", "warning")


def test_library_record_names_its_logger(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json")
    logging.getLogger("a.library").warning("something")
    (event,) = events(capsys)
    assert event["logger"] == "a.library"


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_unusual_values_do_not_break_a_log_line(
    capsys: pytest.CaptureFixture[str], value: object
) -> None:
    configure(log_format="json")
    get_logger("server").info("cannot start", reason=value)
    assert len(events(capsys)) == 1


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_events_below_the_level_are_not_written(
    capsys: pytest.CaptureFixture[str], level: str
) -> None:
    configure(log_format="json", log_level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(get_logger("ours"), name)(name)
        getattr(logging.getLogger("theirs"), name)(name)
    written = [event["event"] for event in events(capsys)]
    order = ["debug", "info", "warning", "error"]
    assert written == [name for name in order[order.index(level) :] for _ in range(2)]


def test_chatty_libraries_are_silenced_below_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="json", log_level="debug")
    for name in ("uvicorn", "uvicorn.access", "httpx", "asyncio", "PIL.PngImagePlugin"):
        logging.getLogger(name).info("chatter")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert events(capsys) == []
    logging.getLogger("uvicorn.error").error("it broke")
    assert [event["event"] for event in events(capsys)] == ["it broke"]
    silence_uvicorn()
    logging.getLogger("uvicorn.error").error("it broke")
    assert events(capsys) == []


def test_console_format_writes_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="console")
    get_logger("server").info("ready", models=["everyday"], reason="two\nlines")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in ("[info     ] ready", "[server]", "models=everyday", "two\\nlines"):
        assert part in err
    assert "\x1b[" not in err, "colours are for terminals"


def test_console_format_keeps_exception_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="console")
    try:
        raise ZeroDivisionError("on purpose")
    except ZeroDivisionError:
        get_logger("pool").exception("job raised")
    assert "\nZeroDivisionError: on purpose\n" in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard error on a terminal."""

    def isatty(self) -> bool:
        return True


def test_default_format_is_text_for_terminals_and_json_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    get_logger("server").info("ready")
    assert events(capsys)[0]["event"] == "ready"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure()
    get_logger("server").info("ready")
    assert "ready" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_no_color_leaves_the_terminal_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure()
    get_logger("server").info("ready")
    assert "ready" in terminal.getvalue()
    assert "\x1b[" not in terminal.getvalue()


def test_failed_start_is_a_plain_line_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    log_failed_start("models: there is none")
    (event,) = events(capsys)
    assert (event["event"], event["reason"]) == ("cannot start", "models: there is none")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    configure()
    log_failed_start("models: there is none")
    assert terminal.getvalue() == "potoo: cannot start: models: there is none\n"


class Colour(StrEnum):
    """An enumeration, such as scopes."""

    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([Colour.RED, Colour.BLUE], "x='red, blue'"),
        (frozenset({Colour.RED}), "x=red"),
        (None, "x=-"),
        (True, "x=yes"),
        (Path("/a/b"), "x=/a/b"),
        ({"one": Colour.RED}, "x='one: red'"),
        (0.5, "x=0.5"),
        ([], "x="),
    ],
)
def test_console_format_shows_no_python_objects(
    capsys: pytest.CaptureFixture[str], value: object, shown: str
) -> None:
    configure(log_format="console")
    get_logger("server").info("event", x=value)
    assert capsys.readouterr().err.rstrip("\n").endswith(shown)


class Disk(io.RawIOBase):
    """A file on a disk that may be full."""

    def __init__(self) -> None:
        self.is_full, self.written = True, b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written += bytes(data)
        return len(data)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_full_disk_loses_log_lines_only(monkeypatch: pytest.MonkeyPatch, log_format: str) -> None:
    disk = Disk()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(disk, 256)))
    configure(log_format=log_format)
    for _ in range(9):
        get_logger("access").info("request", status=200)
    disk.is_full = False
    get_logger("access").info("room again")
    assert b"room again" in disk.written
