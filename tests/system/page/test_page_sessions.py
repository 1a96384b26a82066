"""The end of a session on the web page, and its clean-up, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.callers.accounts import Person, holds, refreshed
from tests.support.callers.wire import Wire, devices_of, revoke, show_and_see, signed_in
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.servers.browser import Visit, photo
from tests.support.servers.server import LiveServer
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
    assert page.page.context.cookies() == []
    for request in wire.requests:
        assert "prt_" not in request.url + json.dumps(request.headers)
        if "prt_" in (request.post_data or ""):
            assert request.url.endswith(("/v1/auth/token", "/v1/auth/revoke"))


def test_sign_out_ends_the_server_session(page: Visit, wire: Wire, server: LiveServer) -> None:
    tokens = wire.tokens
    with page.page.expect_response("**/v1/auth/revoke") as answered:
        page.page.get_by_role("button", name="Sign out").click()
    assert answered.value.status == 200
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
    gate = page.hold("**/v1/auth/token")
    with page.page.expect_request("**/v1/auth/token"):
        page.show(photo("a.png", plain(RED)))
    page.page.get_by_role("button", name="Sign out").click()
    with page.page.expect_response("**/v1/auth/token") as answered:
        gate.open()
    # Whichever the server hears of first: the whole session ends.
    assert answered.value.status in {200, 400}
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator("#sign-in-notice")).to_be_hidden()
    expect(page.page.locator(".card")).to_have_count(0)
    assert wait_until(lambda: devices_of(person) == 0)


def test_leaving_the_page_ends_the_session(page: Visit, person: Person) -> None:
    assert devices_of(person) == 1
    page.page.reload()
    expect(page.page.locator("#sign-in")).to_be_visible()
    assert wait_until(lambda: devices_of(person) == 0)
