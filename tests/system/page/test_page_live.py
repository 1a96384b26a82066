"""The camera of a device on the web page, in a real browser with a fake camera."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, WebSocket, WebSocketRoute, expect

from tests.support.callers.accounts import add_person
from tests.support.models.pictures import BLUE, RED
from tests.support.servers.browser import ARGUMENTS, Visit, open_browser, visit
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until

FRAMES_A_SECOND = 30  # at which Chromium plays MJPEG
DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
IS_OFF = "document.querySelector('#live-video').srcObject === null"
# Chromium plays one film only: a second camera is listed, and shows the same.
TWO_CAMERAS = """() => {
    const tracks = [];
    const { mediaDevices } = navigator;
    const get = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async ({ video: { deviceId, ...video } }) => {
        window.asked = deviceId?.exact;
        const stream = await get({ video });
        tracks.push(...stream.getTracks());
        return stream;
    };
    const list = mediaDevices.enumerateDevices.bind(mediaDevices);
    mediaDevices.enumerateDevices = async () => [
        ...await list(), { kind: "videoinput", deviceId: "other" },
    ];
    window.running = () => tracks.filter((track) => track.readyState === "live").length;
}"""
HIDE = """(isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with a fake camera, whose picture is red and blue in turn."""
    film = tmp_path_factory.mktemp("film") / "film.mjpeg"
    film.write_bytes(b"".join(still(colour) * FRAMES_A_SECOND for colour in (RED, BLUE)))
    fakes = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    names = "--host-resolver-rules=MAP potoo.test 127.0.0.1"
    with open_browser([*ARGUMENTS, *fakes, names]) as chromium:
        yield chromium


def still(colour: tuple[int, int, int]) -> bytes:
    """One frame of a film."""
    packed = io.BytesIO()
    Image.new("RGB", (640, 480), colour).save(packed, "JPEG", quality=90)
    return packed.getvalue()


def open_live(visited: Visit) -> None:
    visited.page.get_by_role("tab", name="Live").click()


def start(visited: Visit) -> None:
    """Sign in, and start the camera."""
    visited.page.evaluate(f"({TWO_CAMERAS})()")
    visited.sign_in()
    open_live(visited)
    visited.page.get_by_role("button", name="Start the camera").click()


def running(visited: Visit) -> int:
    """Number of cameras that are on."""
    count: int = visited.page.evaluate("window.running()")
    return count


@pytest.mark.parametrize("profile", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_answers_are_shown_over_the_picture(
    browser: Browser, server: LiveServer, profile: dict[str, Any]
) -> None:
    with visit(browser, server.url, permissions=["camera"], **profile) as visited:
        page = visited.page
        start(visited)
        for colour in ("red", "blue", "red"):
            expect(page.locator("#live-verdict .name")).to_have_text(colour)
            expect(page.locator("#announcer")).to_have_text(colour)
        expect(page.locator("#live-bars li")).to_have_count(3)
        expect(page.locator("#live-rate")).not_to_have_text("0.0")
        expect(page.locator("#live-age")).to_contain_text("s")
        expect(page.locator("#live-notice")).to_be_hidden()
        inside, screen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert inside <= screen
        for control in page.locator(":is(button, select):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert box["height"] >= 44
        over, picture = (page.locator(one).bounding_box() for one in ("#live-over", "#live-video"))
        assert over is not None
        assert picture is not None
        assert picture["y"] < over["y"] < picture["y"] + picture["height"]
        page.get_by_role("button", name="Other camera").click()
        expect(page.locator("#live-over")).to_be_visible()
        assert page.evaluate("window.asked") == "other"
        assert running(visited) == 1
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start the camera")).to_be_focused()
        assert running(visited) == 0


def test_pause_keeps_the_answer_and_sends_nothing(browser: Browser, server: LiveServer) -> None:
    with visit(browser, server.url, permissions=["camera"]) as visited:
        page = visited.page
        sockets: list[WebSocket] = []
        page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108 - gets attributes
        start(visited)
        expect(page.locator("#live-verdict .name")).to_have_text("red")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live-state")).to_have_text("paused")
        expect(page.locator("#live-over")).to_be_visible()
        if not sockets[0].is_closed():
            sockets[0].wait_for_event("close")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#live-verdict .name")).to_have_text("blue")
        assert len(sockets) == 2


def test_camera_stops_when_the_tab_is_left_or_hidden(browser: Browser, server: LiveServer) -> None:
    with visit(browser, server.url, permissions=["camera"]) as visited:
        page = visited.page
        start(visited)
        expect(page.locator("#live-over")).to_be_visible()
        page.evaluate(HIDE, True)  # noqa: FBT003 - an argument of the script
        assert running(visited) == 0
        page.evaluate(HIDE, False)  # noqa: FBT003 - as above
        expect(page.locator("#live-over")).to_be_visible()
        page.keyboard.press("Tab")
        page.get_by_role("tab", name="Live").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("tab", name="Photos")).to_be_focused()
        expect(page.locator("#drop-zone")).to_be_visible()
        assert page.evaluate(IS_OFF)
        assert running(visited) == 0
        page.keyboard.press("ArrowRight")
        expect(page.locator("#live-over")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        assert running(visited) == 0


def test_token_is_renewed_in_the_stream(browser: Browser, server: LiveServer) -> None:
    said: list[dict[str, Any]] = []
    heard: list[dict[str, Any]] = []

    def connect(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            if isinstance(message, str):
                said.append(json.loads(message))
            upstream.send(message)

        def back(message: str | bytes) -> None:
            heard.append(json.loads(message))
            if heard[-1]["type"] == "welcome":
                heard[-1]["expires_in"] = 1
            socket.send(json.dumps(heard[-1]))

        socket.on_message(forward)
        upstream.on_message(back)

    with visit(browser, server.url, permissions=["camera"]) as visited:
        visited.page.route_web_socket("**/v1/stream", connect)
        start(visited)
        # Playwright hears of messages while it waits for the page.
        assert wait_until(
            lambda: visited.page.evaluate("true") and any(one["type"] == "token" for one in heard)
        )
        answered = len(heard)
        assert wait_until(
            lambda: (
                visited.page.evaluate("true")
                and any(one["type"] == "result" for one in heard[answered:])
            )
        )
    assert [one["type"] for one in said] == ["hello", "token"]
    assert [one["expires_in"] > 60 for one in heard if one["type"] == "token"] == [True]


@pytest.mark.parametrize("code", [1012, 4410])
def test_stream_is_resumed_after_it_was_closed(
    browser: Browser, server: LiveServer, code: int
) -> None:
    hellos: list[dict[str, Any]] = []

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            if isinstance(message, str):
                hellos.append(json.loads(message))
                assert hellos[-1]["type"] == "hello"
            server.send(message)

        def back(message: str | bytes) -> None:
            socket.send(message)
            if len(hellos) == 1 and json.loads(message)["type"] == "result":
                server.close()
                socket.close(code=code)

        socket.on_message(forward)
        server.on_message(back)

    with visit(browser, server.url, permissions=["camera"]) as visited:
        visited.page.route_web_socket("**/v1/stream", connect)
        start(visited)
        for colour in ("red", "blue"):
            expect(visited.page.locator("#live-verdict .name")).to_have_text(colour)
        expect(visited.page.locator("#live-notice")).to_be_hidden()
    first, second = hellos
    assert (first["resume"], first["options"]["mode"]) == (None, "latest")
    assert second["resume"]


def test_page_says_why_there_is_no_camera(browser: Browser, server: LiveServer) -> None:
    notice, button = "#live-notice", "Start the camera"
    url = server.url.replace("127.0.0.1", "potoo.test")
    with visit(browser, url) as visited:
        visited.sign_in()
        open_live(visited)
        expect(visited.page.locator(notice)).to_contain_text("only on pages with TLS")
        expect(visited.page.locator(notice)).to_contain_text(url)
        expect(visited.page.get_by_role("button", name=button)).to_be_hidden()
    with visit(browser, server.url) as visited:  # without the permission
        visited.sign_in()
        open_live(visited)
        visited.page.get_by_role("button", name=button).click()
        expect(visited.page.locator(notice)).to_contain_text("does not let this page use the cam")
        visited.page.context.grant_permissions(["camera"])
        visited.page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('', 'NotFoundError'); } }"
        )
        visited.page.get_by_role("button", name=button).click()
        expect(visited.page.locator(notice)).to_contain_text("has no camera")
        visited.page.reload()  # stays in the view, and signed in
        visited.page.get_by_role("button", name=button).click()
        expect(visited.page.locator("#live-over")).to_be_visible()


def test_page_says_what_the_account_lacks(browser: Browser, server: LiveServer) -> None:
    person = add_person(server)
    with visit(browser, server.url, permissions=["camera"]) as visited:
        visited.sign_in(person.name, person.password)
        open_live(visited)
        expect(visited.page.get_by_role("alert")).to_contain_text(
            f"potoo users change {person.name} --scope classify --scope models:read --scope stream"
        )
        expect(visited.page.get_by_role("button", name="Start the camera")).to_be_hidden()
