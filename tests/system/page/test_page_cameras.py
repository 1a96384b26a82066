"""Cameras on the web page: a real server watches one, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from tests.support.callers.accounts import Person, add_person
from tests.support.cameras.snapshots import SnapshotCamera, snapshot_camera
from tests.support.models.pictures import BLUE, GREEN, RED, encoded, plain
from tests.support.servers.accessibility import LEAST_CONTRAST, assert_fits, contrasts_of
from tests.support.servers.browser import Visit, visit
from tests.support.servers.server import LiveServer

DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 1000}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
NAME = "door"
SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def keeper(server: LiveServer) -> Person:
    """A person who may manage cameras."""
    return add_person(server, scopes=["classify", "models:read", "cameras"])


@pytest.fixture
def client(server: LiveServer) -> Iterator[httpx.Client]:
    """Removes the camera at the end."""
    with server.client("cameras") as client:
        yield client
        client.delete(f"/v1/cameras/{NAME}")


@pytest.fixture
def camera() -> Iterator[SnapshotCamera]:
    """Its picture is red on the left and blue on the right."""
    halves = Image.new("RGB", (640, 360), RED)
    halves.paste(BLUE, (320, 0, 640, 360))
    with snapshot_camera() as camera:
        camera.show(encoded(halves, "JPEG"))
        yield camera


def open_cameras(visited: Visit, person: Person) -> Page:
    visited.sign_in(person.name, person.password)
    visited.page.get_by_role("tab", name="Cameras").click()
    return visited.page


def tile_in(page: Page) -> Locator:
    heading = page.get_by_role("heading", name=NAME, exact=True)
    return page.locator(".camera").filter(has=heading)


def box_of(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


def points(page: Page) -> list[tuple[float, float]]:
    """From the middle of the picture to its lower right corner."""
    picture = page.locator("#camera-picture")
    picture.scroll_into_view_if_needed()
    box = box_of(picture)
    shares = (0.5, 0.75, 0.99)
    return [(box["x"] + box["width"] * at, box["y"] + box["height"] * at) for at in shares]


def draw_by_mouse(page: Page) -> None:
    first, *others = points(page)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point)
    page.mouse.up()


def draw_by_finger(page: Page) -> None:
    finger = page.context.new_cdp_session(page)
    first, *others = points(page)
    touches: list[tuple[str, list[tuple[float, float]]]] = [
        ("touchStart", [first]),
        *(("touchMove", [point]) for point in others),
        ("touchEnd", []),
    ]
    for kind, places in touches:
        at = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})


@pytest.mark.parametrize(
    ("profile", "draw"),
    [(DESKTOP, draw_by_mouse), (PHONE, draw_by_finger)],
    ids=["desktop", "phone"],
)
def test_camera_is_added_with_a_box_that_is_drawn(
    browser: Browser,
    server: LiveServer,
    keeper: Person,
    client: httpx.Client,
    camera: SnapshotCamera,
    profile: dict[str, Any],
    draw: Any,
) -> None:
    with visit(browser, server.url, reduced_motion="reduce", **profile) as visited:
        page = open_cameras(visited, keeper)
        width = profile["viewport"]["width"]
        expect(page.get_by_text("Let the server watch a camera")).to_be_visible()
        assert_fits(page, width)
        contrasts = contrasts_of(page)
        page.get_by_role("button", name="Add a camera").click()
        page.locator("#camera-form [name=name]").fill(NAME)
        page.get_by_label("Address").fill(camera.url)
        page.get_by_role("button", name="Look").focus()  # which leaves the field
        expect(page.locator("#camera-picture")).to_be_visible()
        expect(page.locator("#camera-motion")).to_have_text("now 0.0")
        assert_fits(page, width)
        contrasts += contrasts_of(page)
        draw(page)
        expect(page.locator("#crop-status")).to_have_text(
            "Classified: 50 % from the left, 50 % from the top, 49 % wide, 49 % high."
        )
        expect(page.get_by_role("application")).to_be_focused()
        for key in ("Shift+ArrowLeft", "ArrowRight", "ArrowRight", "ArrowUp"):
            page.keyboard.press(key)
        label = (
            "Part that is classified: 52 % from the left, 49 % from the top, 48 % wide, 49 % high"
        )
        expect(page.get_by_role("application", name=label)).to_be_focused()
        page.get_by_label("After motion from").fill("2")
        page.get_by_role("button", name="Save").click()
        tile = tile_in(page)
        expect(tile.locator(".verdict")).to_have_text("blue")
        expect(tile.locator(".since")).to_contain_text("since ")
        expect(tile.locator(".facts")).to_contain_text("motion 0.0 of 2")
        expect(tile.get_by_role("img", name=f"Picture of {NAME}")).to_be_visible()
        expect(tile.get_by_role("img", name="Last 24 hours: blue once")).to_be_visible()
        expect(page.locator("#cameras-empty")).to_be_hidden()
        assert_fits(page, width)
        contrasts += contrasts_of(page)
    spec = client.get(f"/v1/cameras/{NAME}").json()["spec"]
    assert spec["crop"] == {"x": 0.52, "y": 0.49, "width": 0.48, "height": 0.49}
    assert spec["motion_threshold"] == 2
    assert [one for one in contrasts if one[1] < LEAST_CONTRAST] == []


def test_camera_is_shown_paused_and_removed(
    browser: Browser,
    server: LiveServer,
    keeper: Person,
    client: httpx.Client,
    camera: SnapshotCamera,
) -> None:
    camera.show(plain(RED, format="JPEG"))
    body = {"name": NAME, "url": camera.url, "every_seconds": 0.2}
    client.post("/v1/cameras", json=body).raise_for_status()
    with visit(browser, server.url, **DESKTOP) as visited:
        page = open_cameras(visited, keeper)
        tile = tile_in(page)
        expect(tile.locator(".verdict")).to_have_text("red")
        camera.show(plain(GREEN, format="JPEG"))
        expect(tile.locator(".verdict")).to_have_text("green")
        expect(tile.get_by_role("img", name="Last 24 hours: red once, green once")).to_be_visible()
        camera.fail(404)
        expect(tile.locator(".remark")).to_contain_text("404")
        page.get_by_role("button", name=f"Pause: {NAME}").click()
        expect(tile.locator(".verdict")).to_have_text("Paused")
        expect(tile.locator(".since")).to_contain_text("last: green, since ")
        camera.show(plain(GREEN, format="JPEG"))
        page.get_by_role("button", name=f"Watch again: {NAME}").click()
        expect(tile.locator(".verdict")).to_have_text("green")
        page.get_by_role("button", name=f"Remove: {NAME}").click()
        expect(page.get_by_role("heading", name=f"Remove {NAME}?")).to_be_visible()
        expect(page.get_by_role("button", name="Keep")).to_be_focused()
        page.keyboard.press("Escape")
        expect(tile).to_be_visible()
        page.get_by_role("button", name=f"Remove: {NAME}").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(tile).to_have_count(0)
        expect(page.get_by_text("Let the server watch a camera")).to_be_visible()
    assert client.get("/v1/cameras").json() == {"cameras": []}


def test_stored_login_is_never_shown_and_stays(
    browser: Browser,
    server: LiveServer,
    keeper: Person,
    client: httpx.Client,
    camera: SnapshotCamera,
) -> None:
    with visit(browser, server.url, **DESKTOP) as visited:
        page = open_cameras(visited, keeper)
        page.get_by_role("button", name="Add a camera").click()
        page.locator("#camera-form [name=name]").fill(NAME)
        page.get_by_label("Address").fill(camera.url)
        camera.fail(401)
        page.get_by_role("button", name="Look").click()
        expect(page.locator("#camera-problem")).to_be_visible()
        page.get_by_text("User and password", exact=True).click()
        page.locator("#camera-form [name=username]").fill("someone")
        page.locator("#camera-form [name=password]").fill(SECRET)
        camera.show(plain(RED, format="JPEG"))
        page.get_by_role("button", name="Save").click()
        expect(tile_in(page).locator(".verdict")).to_have_text("red")
        page.get_by_role("button", name=f"Change: {NAME}").click()
        expect(page.locator("#camera-picture")).to_be_visible()  # by the stored login
        page.get_by_text("User and password", exact=True).click()
        expect(page.get_by_text("A login is stored; it is never shown.")).to_be_visible()
        for field in ("username", "password"):
            expect(page.locator(f"#camera-form [name={field}]")).to_have_value("")
        assert SECRET not in page.content()
        page.get_by_label("Every, in seconds").fill("0.5")
        page.get_by_role("button", name="Save").click()
        expect(tile_in(page).locator(".facts")).to_contain_text("every 0.5 s")
    assert client.get(f"/v1/cameras/{NAME}").json()["has_credentials"]


def test_cameras_are_for_accounts_with_the_scope(
    browser: Browser, server: LiveServer, person: Person
) -> None:
    with visit(browser, server.url) as visited:
        visited.page.goto(f"{server.url}/#cameras")
        visited.page.reload()
        visited.sign_in(person.name, person.password)
        expect(visited.page.get_by_role("tab", name="Live")).to_be_visible()
        expect(visited.page.get_by_role("tab", name="Cameras")).to_be_hidden()
        expect(visited.page.locator("#workspace")).to_be_visible()
