"""``docs/tcp.md`` describes the frames as the code has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from schemas.sensor_wire.advice import ADVICE, FAREWELLS
from schemas.sensor_wire.frames import (
    FIRST_FRAME,
    FROM_SERVER,
    FrameDecoder,
    FrameType,
    from_device,
)
from schemas.sensor_wire.messages import Ack, Bye, Data, Hello, Message, Ping, Result, encode, parse
from service.settings import Settings
from tests.support.repository import ROOT

TEXT = (ROOT / "docs/tcp.md").read_text()
NEVER_SENT = {
    *("cross_origin_refused", "method_not_allowed", "not_acceptable", "image_too_large"),
    *("unsupported_media_type", "unsupported_image", "invalid_image"),
    *("update_refused", "site_forbidden"),
}
"""Codes of HTTP, of images and of sites."""


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table whose first heading is that."""
    table = TEXT.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_table_of_frames() -> None:
    limits = {**FROM_SERVER, **from_device(), **FIRST_FRAME}
    for number, name, sender, most, _ in rows("type"):
        kind = FrameType(int(number))
        assert name == f"`{kind.name}`"
        assert {"device": 1, "server": 0, "both": 2}[sender] == (
            2 if kind is FrameType.BYE else kind not in FROM_SERVER
        )
        if most == "`sensors.max_frame_bytes`":
            assert limits[kind] == Settings.model_construct().sensors.max_frame_bytes
        else:
            assert limits[kind] == int(most.replace(",", ""))
    assert len([*rows("type")]) == len(FrameType)


def test_table_of_codes() -> None:
    told = {
        code: advice for codes, advice, _ in rows("code") for code in re.findall(r"`(\w+)`", codes)
    }
    assert told == {code: advice for code, advice in ADVICE.items() if code not in NEVER_SENT}


def test_table_of_farewells() -> None:
    assert {reason.strip("`"): then for reason, then, _ in rows("reason in BYE")} == FAREWELLS


def example() -> list[tuple[str, bytes]]:
    block = TEXT.split("```hex\n", 1)[1].split("```", 1)[0]
    found = re.findall(r"^([A-Z]+)((?:\s+[0-9a-f]{2}\b)+)", block, re.MULTILINE)
    return [(name, bytes.fromhex(digits)) for name, digits in found]


def test_example_is_what_it_says() -> None:
    messages: list[Message] = []
    for name, frame in example():
        (decoded,) = FrameDecoder(dict.fromkeys(FrameType, 4096)).feed(frame)
        assert decoded.type.name == name
        messages.append(parse(decoded))
        assert encode(messages[-1]) == frame
    hello, ack, data, result, later, ping, bye = messages
    assert hello == Hello(1_767_225_600_000, 0, "pump-3", "a.b.c")
    assert (ack, later) == (Ack(0, 2**20), Ack(4, 2**20))
    assert isinstance(data, Data)
    assert (data.first, data.at) == (0, 1_767_225_600)
    assert data.values(1).ravel().tolist() == [0.5, -1.0, 1.5, 2.0]
    assert result == Result(0, b'{"label":"calm"}')
    assert (ping, bye) == (Ping(), Bye("drained"))


@pytest.mark.parametrize(
    ("setting", "default"),
    [("max_connections", "2000"), ("hello_seconds", "5"), ("idle_seconds", "60")],
)
def test_limits_are_the_defaults(setting: str, default: str) -> None:
    assert re.search(rf"`sensors\.{setting}`: {default}\b", TEXT)
    assert getattr(Settings.model_construct().sensors, setting) == float(default)
