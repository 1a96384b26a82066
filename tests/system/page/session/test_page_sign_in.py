"""Signing in and out on the web page, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, expect

from service.runtime.first_run import make_link
from service.settings import load_settings
from tests.support.callers.accounts import add_person
from tests.support.models.pictures import RED, plain
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer

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


def test_correct_password_opens_the_page_and_is_not_stored(page: Visit) -> None:
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
    page.page.reload()
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.locator("#user-name")).to_have_text("admin")
    expect(page.page.locator("#sign-in")).to_be_hidden()
    assert stored(page) == [0, 0, "", 0]


def test_wrong_password_is_refused_with_a_message(page: Visit) -> None:
    page.sign_in(password="not the password")
    expect(page.page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.page.locator("#workspace")).to_be_hidden()
    expect(page.page.get_by_label("Password")).to_be_focused()
    page.sign_in()
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(("seconds", "shown"), [("1", "1 second"), ("300", "300 seconds")])
def test_blocked_sign_in_shows_the_wait(page: Visit, *, seconds: str, shown: str) -> None:
    body = {"error": "slow_down", "error_description": "Too many failed sign-ins."}
    headers = {"retry-after": seconds, "content-type": "application/json"}
    page.page.route(
        "**/v1/auth/page/sign-in",
        lambda route: route.fulfill(status=429, headers=headers, body=json.dumps(body)),
    )
    page.sign_in()
    expect(page.page.get_by_role("alert")).to_have_text(
        f"Too many failed sign-ins. Try again in {shown}."
    )


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (["classify"], "classify"),
        (["classify", "models:read", "infer"], "classify models:read"),
        (
            ["stream", "classify", "metrics", "cameras", "sensors"],
            "cameras classify sensors stream",
        ),
    ],
)
def test_page_requests_only_the_needed_scopes(
    page: Visit, server: LiveServer, scopes: list[str], granted: str
) -> None:
    person = add_person(server, scopes=scopes)
    with page.page.expect_response("**/v1/auth/page/sign-in") as answered:
        page.sign_in(person.name, person.password)
    assert answered.value.json()["scope"] == granted


def test_account_without_the_needed_scope_is_refused(page: Visit, server: LiveServer) -> None:
    person = add_person(server, scopes=["models:read", "stream"])
    page.sign_in(person.name, person.password)
    expect(page.page.get_by_role("alert")).to_contain_text("classify")


def test_sign_in_link_works_and_is_removed_from_the_address(
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


def test_one_time_link_signs_in_and_keeps_the_session(page: Visit, server: LiveServer) -> None:
    settings = load_settings(data_dir=server.data_dir)
    with ThreadPoolExecutor(1) as thread:  # Playwright has an event loop in this one
        link = thread.submit(make_link, settings).result()
    assert link is not None
    page.page.goto(f"{server.url}/#link={link.code}")
    expect(page.page.locator("#workspace")).to_be_visible()
    expect(page.page.locator("#user-name")).to_have_text("admin")
    assert page.page.url == f"{server.url}/"
    page.page.reload()
    expect(page.page.locator("#workspace")).to_be_visible()
    page.page.get_by_role("button", name="Sign out").click()
    page.page.goto(f"{server.url}/#link={link.code}")
    expect(page.page.locator("#sign-in-notice")).to_contain_text("This link no longer works.")


@pytest.mark.parametrize("token", [NO_TOKEN, "nonsense", ""])
def test_invalid_link_asks_for_name_and_password(
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


def test_sign_out_clears_the_page(page: Visit) -> None:
    page.sign_in()
    page.show(photo("mine.png", plain(RED)))
    expect(page.card("mine.png")).to_have_attribute("data-state", "done")
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.locator("#sign-in")).to_be_visible()
    expect(page.page.locator(".card")).to_have_count(0)
    assert page.page.get_by_label("Name").input_value() == ""
    assert "mine.png" not in page.page.content()
