"""The list of devices behind the user's name, in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support.callers.accounts import TOKEN_URL, Person, holds, refreshed
from tests.support.callers.wire import Wire, devices_of, revoke, show_and_see, signed_in
from tests.support.models.pictures import GREEN, plain
from tests.support.servers.browser import Visit, photo
from tests.support.servers.server import LiveServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KNOWN = {
    "Safari on iPhone": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605"
    ".1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1",
    "Edge on Windows": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like"
    " Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Firefox on macOS": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:127.0) Gecko/20100101"
    " Firefox/127.0",
    "Samsung Internet on Android": "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit"
    "/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    "PotooApp/1.4 (Pixel 8; Android 15)": "PotooApp/1.4 (Pixel 8; Android 15)",
    "python-httpx/0.28": "python-httpx/0.28",
    "Unknown device": "",
    "<img src=x onerror=document.title='owned'>": "<img src=x onerror=document.title='owned'>",
}


@pytest.fixture
def page(browser: Browser, person: Person, wire: Wire) -> Iterator[Visit]:
    with signed_in(browser, person, wire) as visited:
        yield visited


def sign_in_from(person: Person, device: str) -> dict[str, str]:
    headers = {"user-agent": device}
    answer = httpx.post(f"{person.server.url}{TOKEN_URL}", data=person.form(), headers=headers)
    tokens: dict[str, str] = answer.raise_for_status().json()
    return tokens


def opened(page: Visit, count: int) -> Locator:
    """The dialogue, with a number of devices."""
    page.page.get_by_role("button", name="Your devices").click()
    expect(page.page.locator(".device")).to_have_count(count)
    return page.page.get_by_role("dialog", name="Your devices")


def test_devices_are_listed_by_name_with_the_current_first(page: Visit, person: Person) -> None:
    for device in KNOWN.values():
        sign_in_from(person, device)
    dialogue = opened(page, len(KNOWN) + 1)
    names = ["Chrome on Linux", *reversed(KNOWN)]  # otherwise the most recently seen one is first
    assert dialogue.locator(".device-name bdi").all_text_contents() == names
    expect(dialogue.locator(".this-one:visible")).to_have_count(1)
    expect(dialogue.locator(".device").first.locator(".this-one")).to_be_visible()
    expect(dialogue.locator("time")).to_have_text(["just now"] * len(names))
    expect(dialogue.get_by_title(KNOWN["Edge on Windows"])).to_have_text("Edge on Windows")
    assert dialogue.locator(".device :is(img, script)").count() == 0
    expect(page.page).to_have_title("Potoo")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-120, "just now"),  # the clocks differ
        (59, "just now"),
        (90, "1 minute ago"),
        (2 * 3600 + 60, "2 hours ago"),
        (86_400 + 60, "yesterday"),
        (20 * 86_400 + 60, "20 days ago"),
    ],
)
def test_last_seen_time_is_shown_in_words(page: Visit, *, seconds: int, shown: str) -> None:
    dialogue = opened(page, 1)
    seen = datetime.fromisoformat(dialogue.locator("time").get_attribute("datetime") or "")
    dialogue.get_by_role("button", name="Close").click()
    page.page.clock.set_fixed_time(seen + timedelta(seconds=seconds))
    expect(opened(page, 1).locator("time")).to_have_text(shown)


def test_other_device_is_signed_out_immediately(page: Visit, person: Person) -> None:
    lost, kept = sign_in_from(person, "lost"), sign_in_from(person, "kept")
    dialogue = opened(page, 3)
    dialogue.get_by_role("button", name="Sign out: lost").click()
    expect(dialogue.locator(".device")).to_have_count(2)
    expect(dialogue.get_by_role("status")).to_have_text("Signed out: lost.")
    assert not holds(person.server, lost["access_token"])
    assert refreshed(person.server, lost["refresh_token"]).status_code == 400
    assert holds(person.server, kept["access_token"])
    dialogue.get_by_role("button", name="Close").click()
    show_and_see(page, "a.png")


def test_already_removed_device_causes_no_error(page: Visit, person: Person) -> None:
    other = sign_in_from(person, "other")
    dialogue = opened(page, 2)
    revoke(person.server, other["refresh_token"])
    dialogue.get_by_role("button", name="Sign out: other").click()
    expect(dialogue.locator(".device")).to_have_count(1)
    expect(dialogue.get_by_role("alert")).to_be_hidden()


def test_current_device_can_be_signed_out(page: Visit, wire: Wire, person: Person) -> None:
    show_and_see(page, "mine.png")
    tokens = wire.tokens
    opened(page, 1).get_by_role("button", name="Sign out: Chrome on Linux").click()
    expect(page.page.get_by_role("dialog")).to_be_hidden()
    expect(page.page.get_by_label("Name")).to_be_focused()
    expect(page.page.locator(".card")).to_have_count(0)
    assert wait_until(lambda: devices_of(person) == 0)
    assert not holds(person.server, tokens["access_token"])


def test_page_signed_out_remotely_asks_to_sign_in(
    browser: Browser, page: Visit, person: Person
) -> None:
    with signed_in(browser, person, user_agent="the other one") as other:
        opened(page, 2).get_by_role("button", name="Sign out: the other one").click()
        expect(page.page.locator(".device")).to_have_count(1)
        other.show(photo("a.png", plain(GREEN)))
        expect(other.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")
        other.sign_in(person.name, person.password)
        expect(other.card("a.png").locator(".label").first).to_have_text("green")


def test_ended_session_closes_the_list(page: Visit, wire: Wire, person: Person) -> None:
    sign_in_from(person, "other")
    dialogue = opened(page, 2)
    revoke(person.server, wire.tokens["refresh_token"])
    dialogue.get_by_role("button", name="Sign out: other").click()
    expect(page.page.get_by_role("dialog")).to_be_hidden()
    expect(page.page.locator("#sign-in-notice")).to_contain_text("Your session has expired.")
    expect(page.page.get_by_label("Password")).to_be_focused()
    assert devices_of(person) == 1


def test_unreachable_server_is_reported_in_the_list(page: Visit, person: Person) -> None:
    other = sign_in_from(person, "other")
    dialogue = opened(page, 2)
    page.page.context.set_offline(True)
    dialogue.get_by_role("button", name="Sign out: other").click()
    expect(dialogue.get_by_role("alert")).to_have_text("The server cannot be reached.")
    expect(dialogue.get_by_role("button", name="Sign out: other")).to_be_enabled()
    dialogue.get_by_role("button", name="Close").click()
    opened(page, 0)
    expect(dialogue.get_by_role("alert")).to_have_text("The server cannot be reached.")
    page.page.context.set_offline(False)
    dialogue.get_by_role("button", name="Close").click()
    opened(page, 2)
    expect(dialogue.get_by_role("alert")).to_be_hidden()
    assert holds(person.server, other["access_token"])


def test_click_outside_the_list_closes_it(page: Visit) -> None:
    dialogue = opened(page, 1)
    dialogue.get_by_role("heading", name="Your devices").click()
    expect(dialogue).to_be_visible()
    page.page.mouse.click(5, 5)
    expect(dialogue).to_be_hidden()


def test_link_sign_in_explains_its_missing_device(
    page: Visit, server: LiveServer, person: Person
) -> None:
    sign_in_from(person, "other")
    command = [sys.executable, "-m", "service", "token", "--user", person.name]
    made = subprocess.run(
        [*command, "--data-dir", str(server.data_dir)], capture_output=True, text=True, check=True
    )
    page.page.goto(f"{server.url}/#token={made.stdout.strip()}")
    assert wait_until(
        lambda: devices_of(person) == 1
    )  # the page ended the session that it had before
    dialogue = opened(page, 1)
    expect(dialogue.locator(".this-one")).to_be_hidden()
    expect(dialogue.get_by_role("status")).to_contain_text("You signed in with a link")
    dialogue.get_by_role("button", name="Sign out: other").click()
    expect(dialogue.locator(".device")).to_have_count(0)
    expect(dialogue.get_by_role("button", name="Close")).to_be_focused()
