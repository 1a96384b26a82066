"""Automatic token renewal of the web page, in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect

from tests.support.callers.accounts import Person, holds
from tests.support.callers.wire import Wire, refresh_token_of, revoke, show_and_see, signed_in
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.servers.browser import Visit, photo
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.slow


@pytest.fixture
def page(browser: Browser, person: Person, wire: Wire) -> Iterator[Visit]:
    """A signed-in page with only this device."""
    with signed_in(browser, person, wire) as visited:
        yield visited


def move_clock(page: Visit, seconds: float) -> None:
    """The page's clock, not the server's."""
    page.page.clock.set_fixed_time(time.time() + seconds)


def test_photos_in_progress_wait_for_a_single_renewal(
    page: Visit, wire: Wire, server: LiveServer
) -> None:
    first = wire.tokens
    revoke(server, first["access_token"])
    gate = page.hold("**/v1/auth/page/refresh")
    colours = {f"{place}.png": plain([RED, GREEN, BLUE][place % 3]) for place in range(9)}
    with page.page.expect_event("response", lambda _: len(wire.refused) == 4):
        page.show(*(photo(name, content) for name, content in colours.items()))
    expect(page.page.locator(".card[data-state=looking]")).to_have_count(4)
    expect(page.page.locator(".card[data-state=waiting]")).to_have_count(5)
    assert len(gate.waiting) == 1
    gate.open()
    for place, name in enumerate(colours):
        label = ["red", "green", "blue"][place % 3]
        expect(page.card(name).locator(".label").first).to_have_text(label)
    expect(page.page.locator("#sign-in")).to_be_hidden()
    assert wire.refreshes == [first["refresh_token"]]
    assert wire.tokens["refresh_token"] != first["refresh_token"]
    assert holds(server, wire.tokens["access_token"])


def test_token_is_renewed_shortly_before_expiry(page: Visit, wire: Wire) -> None:
    life = wire.tokens["expires_in"]
    move_clock(page, life / 2)
    show_and_see(page, "early.png")
    assert wire.refreshes == []
    move_clock(page, life - 10)
    show_and_see(page, "late.png", "later.png")
    show_and_see(page, "last.png")
    assert len(wire.refreshes) == 1
    assert wire.refused == []


def test_each_refresh_token_is_used_once(page: Visit, wire: Wire, server: LiveServer) -> None:
    given = []
    for name in ("a.png", "b.png", "c.png"):
        given.append(wire.tokens["refresh_token"])
        revoke(server, wire.tokens["access_token"])
        show_and_see(page, name)
    assert wire.refreshes == given
    assert len(set(given)) == 3


def test_large_photo_is_sent_again_after_renewal(
    page: Visit, wire: Wire, server: LiveServer
) -> None:
    """The server refuses it by its headers, before all bytes arrived."""
    revoke(server, wire.tokens["access_token"])
    page.show(photo("large.bmp", plain(RED, (1600, 1600), "BMP"), "image/bmp"))
    expect(page.card("large.bmp").locator(".label").first).to_have_text("red")
    assert len(wire.refreshes) == 1


@pytest.mark.parametrize(("seconds", "repeats"), [("1", True), ("3600", False)])
def test_rate_limited_renewal_is_retried_after_a_short_delay_only(
    page: Visit, wire: Wire, server: LiveServer, *, seconds: str, repeats: bool
) -> None:
    def slow_down(route: Route) -> None:
        body = {"error": "slow_down", "error_description": "Used a moment ago."}
        headers = {"retry-after": seconds, "content-type": "application/json"}
        route.fulfill(status=429, headers=headers, body=json.dumps(body))

    first = wire.tokens
    revoke(server, first["access_token"])
    page.page.route("**/v1/auth/page/refresh", slow_down, times=1)
    if repeats:
        show_and_see(page, "a.png", "b.png")
        assert wire.refreshes == [first["refresh_token"]] * 2
    else:
        page.show(photo("a.png", plain(RED)))
        expect(page.card("a.png").locator(".remark")).to_contain_text("Used a moment ago.")
        expect(page.card("a.png").locator(".retry")).to_be_visible()
        expect(page.page.locator("#sign-in")).to_be_hidden()


def test_renewal_with_a_lost_answer_is_repeated(
    page: Visit, wire: Wire, server: LiveServer
) -> None:
    """The server has already rotated the token, and accepts the old one for this case."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        # Not `route.fetch`, which would keep the cookie of the answer.
        answer = httpx.post(route.request.url, headers=route.request.all_headers())
        lost.append(refresh_token_of(answer.headers["set-cookie"]))
        route.abort("connectionreset")

    first = wire.tokens
    revoke(server, first["access_token"])
    page.page.route("**/v1/auth/page/refresh", lose)
    show_and_see(page, "a.png", "b.png")
    assert wire.refreshes == [first["refresh_token"]] * 2
    assert wire.tokens["refresh_token"] not in {first["refresh_token"], lost[0]}
    revoke(server, wire.tokens["access_token"])
    show_and_see(page, "c.png")


def test_unreachable_server_during_renewal_does_not_sign_out(
    page: Visit, wire: Wire, server: LiveServer
) -> None:
    revoke(server, wire.tokens["access_token"])
    page.page.route("**/v1/auth/page/refresh", lambda route: route.abort())
    page.show(photo("a.png", plain(RED)))
    expect(page.card("a.png").locator(".remark")).to_have_text("The server cannot be reached.")
    expect(page.page.locator("#sign-in")).to_be_hidden()
    assert len(wire.refreshes) == 3
    page.page.unroute_all()
    page.page.get_by_role("button", name="Try again: a.png").click()
    expect(page.card("a.png").locator(".label").first).to_have_text("red")
