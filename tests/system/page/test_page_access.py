"""Accessibility of the web page: keyboard, phone, colour schemes, reduced motion."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.callers.accounts import TOKEN_URL, Person
from tests.support.callers.wire import signed_in
from tests.support.models.pictures import GREEN, RED, plain
from tests.support.servers.accessibility import LEAST_CONTRAST, assert_fits, contrasts_of
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import PASSWORD, LiveServer

pytestmark = pytest.mark.slow

LONG_NAME = f"{'IMG_20261121_' * 12}.png"
FOCUSED = """() => {
    if (document.activeElement === document.body) return ["", true];  // between the last and the first
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.textContent.trim() || document.activeElement.id,
            style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    with visit(browser, server.url) as visited:
        yield visited


def tab_to(page: Page, what: str) -> None:
    """Press Tab until the named control has the focus, which must be visible at every stop."""
    for _ in range(20):
        page.keyboard.press("Tab")
        name, is_visible = page.evaluate(FOCUSED)
        assert is_visible, f"nobody sees that {name} has the focus"
        if name == what:
            return
    pytest.fail(f"Tab never reaches {what}")


def test_page_works_by_keyboard(page: Visit) -> None:
    keyboard = page.page.keyboard
    expect(page.page.get_by_label("Name")).to_be_focused()
    keyboard.type("admin")
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    expect(page.page.get_by_role("button", name="Choose photos")).to_be_focused()
    page.page.context.set_offline(True)
    with page.page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files([photo("a.png", plain(RED)), photo("b.png", plain(GREEN))])
    expect(page.page.locator(".card[data-state=failed]")).to_have_count(2)
    page.page.context.set_offline(False)
    tab_to(page.page, "Try again")
    keyboard.press("Enter")
    expect(page.page.locator(".card[data-state=done]")).to_have_count(1)
    expect(page.page.get_by_role("button", name="Choose photos")).to_be_focused()
    tab_to(page.page, "Try again")
    keyboard.press("Space")
    expect(page.page.locator(".card[data-state=done]")).to_have_count(2)
    for kind in ("CSV", "JSON"):
        with page.page.expect_download() as download:
            tab_to(page.page, f"Save {kind}")
            keyboard.press("Enter")
        assert download.value.suggested_filename == f"potoo.{kind.lower()}"
    tab_to(page.page, "Clear")
    keyboard.press("Enter")
    expect(page.page.locator(".card")).to_have_count(0)
    for link in ("API docs", "Status", "Metrics", "Your devices: admin", "Sign out"):
        tab_to(page.page, link)
    keyboard.press("Enter")
    expect(page.page.get_by_label("Name")).to_be_focused()


def test_device_list_works_by_keyboard(browser: Browser, person: Person) -> None:
    person.sign_in()
    with signed_in(browser, person) as page:
        keyboard = page.page.keyboard
        tab_to(page.page, f"Your devices: {person.name}")
        keyboard.press("Enter")
        expect(page.page.locator(".device")).to_have_count(2)
        expect(page.page.get_by_role("button", name="Close")).to_be_focused()
        tab_to(page.page, "Sign out")
        tab_to(page.page, "Sign out")
        keyboard.press("Enter")
        expect(page.page.locator(".device")).to_have_count(1)
        expect(page.page.get_by_role("button", name="Sign out: Chrome on Linux")).to_be_focused()
        keyboard.press("Escape")
        expect(page.page.get_by_role("dialog")).to_be_hidden()
        expect(page.page.get_by_role("button", name="Your devices")).to_be_focused()


def test_actions_are_announced_to_screen_readers(page: Visit) -> None:
    announcer = page.page.get_by_role("status")
    page.sign_in()
    expect(announcer).to_have_text("Signed in.")
    gate = page.hold()
    page.show(photo("a.png", plain(RED)), photo("b.jpg", b"text", "image/jpeg"))
    expect(announcer).to_have_text("2 photos added.")
    gate.open()
    expect(announcer).to_have_text("Done: 2 photos · 1 without an answer.")
    page.page.get_by_role("button", name="Clear").click()
    expect(announcer).to_have_text("Cleared.")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_page_fits_narrow_screens(
    browser: Browser, server: LiveServer, person: Person, width: int
) -> None:
    other = {"user-agent": "W" * 200}
    httpx.post(f"{server.url}{TOKEN_URL}", data=person.form(), headers=other).raise_for_status()
    phone = {"viewport": {"width": width, "height": 640}, "has_touch": True, "is_mobile": True}
    with visit(browser, server.url, **phone) as visited:
        assert_fits(visited.page, width)
        visited.sign_in(person.name, person.password)
        expect(visited.page.locator("#workspace")).to_be_visible()
        assert_fits(visited.page, width)
        visited.show(photo(LONG_NAME, plain(RED)), photo("b.jpg", b"text", "image/jpeg"))
        expect(visited.page.locator("#summary")).to_be_visible()
        assert_fits(visited.page, width)
        visited.page.get_by_role("button", name=f"Your devices: {person.name}").tap()
        expect(visited.page.locator(".device")).to_have_count(2)
        assert_fits(visited.page, width)
        for part in visited.page.locator("#devices, .device > *").all():
            box = part.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_photo_can_be_taken_on_a_phone(browser: Browser, server: LiveServer) -> None:
    with visit(browser, server.url, has_touch=True, is_mobile=True) as visited:
        visited.sign_in()
        with visited.page.expect_file_chooser() as chooser:
            visited.page.get_by_role("button", name="Take a photo").tap()
        assert chooser.value.element.get_attribute("capture") == "environment"
        chooser.value.set_files([photo("camera.png", plain(GREEN))])
        expect(visited.card("camera.png")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_sufficient(
    browser: Browser, server: LiveServer, person: Person, scheme: str
) -> None:
    with visit(browser, server.url, color_scheme=scheme, reduced_motion="reduce") as visited:
        visited.sign_in(person.name, "wrong")
        expect(visited.page.get_by_role("alert")).to_be_visible()
        contrasts = contrasts_of(visited.page)
        visited.sign_in(person.name, person.password)
        visited.show(
            *(photo("a.png", plain(RED)), photo("fog.png", plain((9, 9, 9)))),
            photo("b.jpg", b"text", "image/jpeg"),
        )
        expect(visited.page.locator("#summary")).to_be_visible()
        contrasts += contrasts_of(visited.page)
        visited.page.get_by_role("button", name="Your devices").click()
        expect(visited.page.locator(".device")).to_have_count(1)
        contrasts += contrasts_of(visited.page)
        visited.page.keyboard.press("Escape")
        visited.page.get_by_role("button", name="What it knows").click()
        expect(visited.page.locator(".labels li")).to_have_count(3)
        contrasts += contrasts_of(visited.page)
        background = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
    texts = {text for text, _ in contrasts}
    assert {"Potoo", "Sign in", "The name or the password is wrong.", "Choose photos"} <= texts
    assert {"Your devices", "This device", "just now", "Close"} <= texts
    assert {"What colours knows", "3 classes", "green", "not calibrated"} <= texts
    assert {"No answer", "Not sure", "red", "100.0%", "33.3%", "b.jpg"} <= texts
    assert [found for found in contrasts if found[1] < LEAST_CONTRAST] == []
    is_dark = sum(map(int, background.removeprefix("rgb(").rstrip(")").split(","))) < 3 * 64
    assert is_dark is (scheme == "dark")


@pytest.mark.parametrize(("preference", "moves"), [("no-preference", True), ("reduce", False)])
def test_reduced_motion_preference_stops_animations(
    browser: Browser, server: LiveServer, *, preference: str, moves: bool
) -> None:
    with visit(browser, server.url, reduced_motion=preference) as visited:
        visited.sign_in()
        gate = visited.hold()
        visited.show(photo("a.png", plain(RED)))
        expect(visited.card("a.png")).to_have_attribute("data-state", "looking")
        endless = visited.page.evaluate(
            "document.getAnimations().filter(({ effect }) =>"
            " effect.getComputedTiming().endTime === Infinity).length"
        )
        assert (endless > 0) is moves
        gate.open()
        expect(visited.card("a.png")).to_have_attribute("data-state", "done")
