"""The JavaScript client of ``docs/websocket.md``, in a real browser."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.support.documents.documented_client import DRAW, documented_client
from tests.support.servers.browser import visit
from tests.support.servers.server import LiveServer

FRAMES = 300
"""More than one byte of a frame's number can count."""
USE = """
    return new Promise((done) => {
        const heard = [];
        const send = stream(address, async () => token, {top_k: 1}, (message) => {
            heard.push(message);
            if (heard.length > count) done(heard);
            else for (let free = message.credits; free >= 0; free -= 1) send(blob);
        });
    });
"""


def test_documented_client_streams_frames(browser: Browser, server: LiveServer) -> None:
    address = server.url.replace("http://", "ws://") + "/v1/stream"
    with visit(browser, server.url) as visited:
        welcome, *results = visited.page.evaluate(
            "async ([address, token, count]) => {" + documented_client() + DRAW + USE + "}",
            [address, server.token("stream"), FRAMES],
        )
    assert welcome["type"] == "welcome"
    assert welcome["options"]["top_k"] == 1
    # The example sends one frame more than it has credits for, which the client skips.
    assert [result["frame"] for result in results] == list(range(1, FRAMES + 1))
    assert {result["summary"]["label"] for result in results} == {"blue"}
