"""Signing in and out on the web page, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser import Visit, photo, visit
from tests.pictures import BLUE, GREEN, RED, plain
from tests.server import PASSWORD, LiveServer

NO_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0.c2lnbmF0dXJl"


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    with visit(browser, server.url) as visited:
        yield visited


def stored(visited: Visit) -> object:
    return visited.page.evaluate(
        "[localStorage.length, sessionStorage.length, document.cookie,"
        " indexedDB.databases().then((found) => found.length)].reduce("
        "async (all, one) => [...await all, await one], [])"
    )


def test_the_right_password_opens_the_page_and_is_kept_nowhere(page: Visit) -> None:
    expect(page.page.get_by_label("Name")).to_be_focused()
    expect(page.page.locator("#workspace")).to_be_hidden()
    page.sign_in()
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.locator("#sign-in")).to_be_hidden()
    expect(page.page.locator("#user-name")).to_have_text("admin")
    expect(page.page.locator("#only-model")).to_have_text("colours")
    assert page.page.locator("#password").input_value() == ""
    page.show(photo("red.png", plain(RED)))
    expect(page.card("red.png")).to_have_attribute("data-state", "done")
    assert stored(page) == [0, 0, "", 0]
    assert page.page.context.cookies() == []
    page.page.reload()
    expect(page.page.locator("#sign-in")).to_be_visible()


def test_a_wrong_password_is_refused_in_plain_words(page: Visit) -> None:
    page.sign_in(password="not the password")
    expect(page.page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.page.locator("#workspace")).to_be_hidden()
    expect(page.page.get_by_label("Password")).to_be_focused()
    page.sign_in()
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.get_by_role("alert")).to_be_hidden()


def test_the_page_asks_for_no_more_than_it_needs(page: Visit) -> None:
    with page.page.expect_response("**/v1/auth/token") as answered:
        page.sign_in()
    assert answered.value.json()["scope"] == "classify models:read"


def test_a_sign_in_link_works_and_leaves_the_address_bar_at_once(
    page: Visit, server: LiveServer
) -> None:
    token = server.token()
    page.page.goto(f"{server.url}/#token={token}")
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.locator("#user-name")).to_have_text("admin")
    assert page.page.url == f"{server.url}/"
    assert stored(page) == [0, 0, "", 0]
    page.page.goto(f"{server.url}/docs")
    page.page.go_back()
    assert token not in page.page.url


def test_the_link_that_the_server_prints_is_such_a_link(server: LiveServer) -> None:
    printed = re.search(r"sign in now: +(\S+)", server.banner)
    assert printed is not None
    assert re.fullmatch(re.escape(server.url) + r"/#token=[\w-]+\.[\w-]+\.[\w-]+", printed[1])


@pytest.mark.parametrize("token", [NO_TOKEN, "nonsense", ""])
def test_a_link_that_does_not_hold_asks_for_name_and_password(
    page: Visit, server: LiveServer, token: str
) -> None:
    page.page.goto(f"{server.url}/#token={token}")
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator("#workspace")).to_be_hidden()
    expect(page.page.locator("#sign-in-notice")).to_have_text(
        "This link no longer works. Sign in with name and password."
    )
    assert page.page.url == f"{server.url}/"
    page.sign_in()
    expect(page.page.locator("#workspace")).to_be_visible()


def test_signing_out_forgets_everything(page: Visit) -> None:
    page.sign_in()
    page.show(photo("mine.png", plain(RED)))
    expect(page.card("mine.png")).to_have_attribute("data-state", "done")
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator(".card")).to_have_count(0)
    assert page.page.get_by_label("Name").input_value() == ""
    assert "mine.png" not in page.page.content()


def test_a_token_that_expires_asks_to_sign_in_and_the_photos_go_on(page: Visit) -> None:
    """The server refuses a worthless token, which is put in place of the good one on the way."""
    has_expired = False

    def pass_on(route: Route) -> None:
        headers = route.request.headers
        if has_expired:
            headers["authorization"] = f"Bearer {NO_TOKEN}"
        route.continue_(headers=headers)

    page.page.route("**/v1/classify*", pass_on)
    page.sign_in()
    page.show(photo("first.png", plain(RED)))
    expect(page.card("first.png")).to_have_attribute("data-state", "done")
    has_expired = True
    colours = [RED, GREEN, BLUE] * 3
    page.show(*(photo(f"{place}.png", plain(colour)) for place, colour in enumerate(colours)))
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your sign-in has run out.")
    expect(page.page.get_by_label("Password")).to_be_focused()
    expect(page.page.locator("#progress-text")).to_have_text("1 of 10")
    expect(page.page.locator(".card[data-state=waiting]")).to_have_count(9)
    expect(page.card("first.png").locator(".label").first).to_have_text("red")

    has_expired = False
    assert page.page.get_by_label("Name").input_value() == "admin"
    page.page.get_by_label("Password").fill(PASSWORD)
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".card[data-state=done]")).to_have_count(10)
    for place, label in enumerate(["red", "green", "blue"] * 3):
        expect(page.card(f"{place}.png").locator(".label").first).to_have_text(label)
    expect(page.page.locator("#summary")).to_have_text("10 photos")
