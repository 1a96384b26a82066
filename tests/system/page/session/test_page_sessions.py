"""The end of a session on the web page, and its clean-up, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, expect

from tests.support.callers.accounts import Person, holds, refreshed
from tests.support.callers.wire import Wire, devices_of, revoke, show_and_see, signed_in
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.servers.browser import Visit, photo
from tests.support.servers.server import PASSWORD, LiveServer
from tests.support.waiting import wait_until

ALL_THAT_IS_KEPT = """async () => JSON.stringify([
    {...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href, name,
    await indexedDB.databases(), await caches.keys(), document.documentElement.outerHTML,
    [...document.querySelectorAll("input")].map((input) => input.value),
    performance.getEntries().map((entry) => entry.name),
])"""


@pytest.fixture
def page(browser: Browser, person: Person, wire: Wire) -> Iterator[Visit]:
    """A signed-in page with only this device."""
    with signed_in(browser, person, wire) as visited:
        yield visited


def test_ended_session_asks_to_sign_in_and_continues(
    page: Visit, wire: Wire, server: LiveServer, person: Person
) -> None:
    show_and_see(page, "first.png")
    revoke(server, wire.tokens["refresh_token"])
    colours = [RED, GREEN, BLUE] * 3
    page.show(*(photo(f"{place}.png", plain(colour)) for place, colour in enumerate(colours)))
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")
    expect(page.page.get_by_label("Password")).to_be_focused()
    expect(page.page.locator("#progress-text")).to_have_text("1 of 10")
    expect(page.page.locator(".card[data-state=waiting]")).to_have_count(9)
    expect(page.card("first.png").locator(".label").first).to_have_text("red")
    assert len(wire.refreshes) == 1
    assert page.page.get_by_label("Name").input_value() == person.name
    page.page.get_by_label("Password").fill(person.password)
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".card[data-state=done]")).to_have_count(10)
    for place, label in enumerate(["red", "green", "blue"] * 3):
        expect(page.card(f"{place}.png").locator(".label").first).to_have_text(label)
    expect(page.page.locator("#summary")).to_have_text("10 photos")


def test_link_token_is_not_renewed(
    page: Visit, wire: Wire, server: LiveServer, person: Person
) -> None:
    linked = person.sign_in()["access_token"]
    page.page.goto(f"{server.url}/#token={linked}")
    expect(page.page.locator("#announcer")).to_have_text("Signed in.")
    assert wait_until(lambda: devices_of(person) == 1)  # the page ended the one that it had before
    show_and_see(page, "a.png")
    assert wire.requests[-1].headers["authorization"] == f"Bearer {linked}"
    revoke(server, linked)
    page.show(photo("b.png", plain(GREEN)))
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")
    assert wire.refreshes == []


def test_tokens_are_neither_stored_nor_shown(page: Visit, wire: Wire, server: LiveServer) -> None:
    tokens = [wire.tokens]
    revoke(server, wire.tokens["access_token"])
    show_and_see(page, "a.png")
    tokens.append(wire.tokens)
    page.page.locator("#who").click()
    expect(page.page.locator(".device")).to_have_count(1)
    kept = page.page.evaluate(ALL_THAT_IS_KEPT)
    assert "a.png" in kept
    for issued in tokens:
        assert issued["access_token"] not in kept
        assert issued["refresh_token"] not in kept
    (cookie,) = page.page.context.cookies(f"{server.url}/v1/auth/page/refresh")
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert cookie.get("path") == "/v1/auth/page"
    assert page.page.context.cookies(f"{server.url}/v1/auth/token") == []
    for request in wire.requests:
        sent = json.dumps(request.all_headers()) + (request.post_data or "")
        assert "prt_" not in request.url
        assert "prt_" not in sent or "/v1/auth/page/" in request.url


def test_sign_out_ends_the_server_session(page: Visit, wire: Wire, server: LiveServer) -> None:
    tokens = wire.tokens
    with page.page.expect_response("**/v1/auth/page/sign-out") as answered:
        page.page.get_by_role("button", name="Sign out").click()
    assert answered.value.status == 204
    assert page.page.context.cookies() == []
    assert not holds(server, tokens["access_token"])
    assert refreshed(server, tokens["refresh_token"]).status_code == 400


def test_sign_out_works_offline(page: Visit) -> None:
    page.page.context.set_offline(True)
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator("#sign-in-notice")).to_be_hidden()


def test_sign_out_during_a_renewal_is_final(
    page: Visit, wire: Wire, server: LiveServer, person: Person
) -> None:
    revoke(server, wire.tokens["access_token"])
    gate = page.hold("**/v1/auth/page/refresh")
    with page.page.expect_request("**/v1/auth/page/refresh"):
        page.show(photo("a.png", plain(RED)))
    page.page.get_by_role("button", name="Sign out").click()
    with page.page.expect_response("**/v1/auth/page/refresh") as answered:
        gate.open()
    # Whichever reaches the server first: the whole session ends. 204: the cookie is deleted already.
    assert answered.value.status in {200, 204, 400}
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator("#sign-in-notice")).to_be_hidden()
    expect(page.page.locator(".card")).to_have_count(0)
    assert wait_until(lambda: devices_of(person) == 0)


def test_offline_sign_out_is_completed_by_the_next_visit(page: Visit, person: Person) -> None:
    page.page.context.set_offline(True)
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.locator("#sign-in")).to_be_visible()
    page.page.context.set_offline(False)
    page.page.reload()
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator("#workspace")).to_be_hidden()
    assert wait_until(lambda: devices_of(person) == 0)
    assert wait_until(lambda: page.page.context.cookies() == [])


def test_reload_and_second_tab_keep_one_session(page: Visit, person: Person) -> None:
    page.page.reload()
    expect(page.page.locator("#user-name")).to_have_text(person.name)
    show_and_see(page, "a.png")
    second = page.page.context.new_page()
    second.goto(page.url)
    expect(second.locator("#workspace")).to_be_visible()
    assert devices_of(person) == 1
    second.get_by_role("button", name="Sign out").click()
    expect(second.locator("#sign-in")).to_be_visible()
    assert wait_until(lambda: devices_of(person) == 0)
    page.show(photo("b.png", plain(GREEN)))
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")


def test_another_sign_in_of_a_browser_replaces_its_session(
    page: Visit, wire: Wire, server: LiveServer, person: Person
) -> None:
    second = page.page.context.new_page()
    second.route("**/v1/auth/page/refresh", lambda route: route.fulfill(status=204))
    second.goto(page.url)
    second.get_by_label("Name").fill(person.name)
    second.get_by_label("Password").fill(person.password)
    second.get_by_role("button", name="Sign in").click()
    expect(second.locator("#workspace")).to_be_visible()
    assert devices_of(person) == 1
    assert not holds(server, wire.tokens["access_token"])


def test_tab_of_another_account_does_not_continue(page: Visit) -> None:
    second = page.page.context.new_page()
    second.goto(page.url)
    expect(second.locator("#workspace")).to_be_visible()
    second.get_by_role("button", name="Sign out").click()
    second.get_by_label("Name").fill("admin")
    second.get_by_label("Password").fill(PASSWORD)
    second.get_by_role("button", name="Sign in").click()
    expect(second.locator("#user-name")).to_have_text("admin")
    page.show(photo("mine.png", plain(GREEN)))
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")
    expect(page.card("mine.png")).to_have_attribute("data-state", "waiting")


def test_leaving_asks_while_results_are_unsaved(page: Visit) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.page.on("dialog", stay)
    page.page.get_by_role("button", name="Choose photos").click()  # browsers require a user gesture
    page.page.reload()
    assert asked == []
    expect(page.page.locator("#workspace")).to_be_visible()
    page.page.get_by_role("button", name="Choose photos").click()
    show_and_see(page, "a.png")
    page.page.reload()
    assert asked == ["beforeunload"]
    expect(page.page.locator("#workspace")).to_be_visible()
    page.page.get_by_role("button", name="Choose photos").click()
    show_and_see(page, "a.png")
    with page.page.expect_download():
        page.page.get_by_role("button", name="Save CSV").click()
    page.page.reload()
    assert asked == ["beforeunload"]
