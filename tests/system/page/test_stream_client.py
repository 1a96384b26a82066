"""The JavaScript client of ``docs/websocket.md``, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Browser

from tests.support.repository import ROOT
from tests.support.servers.browser import visit
from tests.support.servers.server import LiveServer

DOCUMENT = (ROOT / "docs/websocket.md").read_text()
MOST_LINES = 32
USE = """
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    pen.fillStyle = "rgb(0, 0, 255)";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    return new Promise((done) => {
        const heard = [];
        const send = stream(address, async () => token, {top_k: 1, mode: "latest"}, async (message) => {
            heard.push(message);
            if (message.type === "welcome") heard.push(await send(blob));
            if (message.type === "result") done(heard);
        });
    });
"""


def test_documented_client_streams_frames(browser: Browser, server: LiveServer) -> None:
    found = re.search(r"```js\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    client = found[1]
    assert len(client.splitlines()) <= MOST_LINES
    address = server.url.replace("http://", "ws://") + "/v1/stream"
    with visit(browser, server.url) as visited:
        visited.page.goto(server.url)
        welcome, is_sent, result = visited.page.evaluate(
            "async ([address, token]) => {" + client + USE + "}", [address, server.token("stream")]
        )
    assert welcome["type"] == "welcome"
    assert welcome["options"]["mode"] == "latest"
    assert is_sent
    assert (result["frame"], result["summary"]["label"]) == (1, "blue")
