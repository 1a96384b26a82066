"""``/docs``: Swagger UI without external resources, under its Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support.callers.accounts import add_person, holds
from tests.support.models.pictures import BLUE, plain
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import PASSWORD, LiveServer, serve

pytestmark = pytest.mark.slow

DRESS = """() => ["body", ".sign-in", "#name", "#sign-in-button", "#sign-in-title"].map((part) => {
    const style = getComputedStyle(document.querySelector(part));
    return [style.color, style.backgroundColor, style.fontSize, style.borderRadius, style.width];
})"""


@pytest.fixture
def docs(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    with visit(browser, server.url) as visited:
        visited.page.goto(f"{server.url}/docs")
        expect(visited.page.locator(".opblock").first).to_be_visible()
        yield visited


def authorize(docs: Visit, password: str = PASSWORD) -> Locator:
    """Sign in with the button of that name; the dialogue stays open."""
    docs.page.get_by_role("button", name="Authorize").click()
    dialogue = docs.page.locator(".dialog-ux")
    dialogue.locator("#oauth_username").fill("admin")
    dialogue.locator("#oauth_password").fill(password)
    dialogue.get_by_role("button", name="Apply given OAuth2 credentials").first.click()
    return dialogue


def opened(docs: Visit, operation: str) -> Locator:
    block = docs.page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    return block


def execute(block: Locator) -> Locator:
    """The table with the server's answer."""
    block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table")


def test_every_api_operation_is_shown(docs: Visit, server: LiveServer) -> None:
    document = docs.page.request.get(f"{server.url}/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path]
    expect(docs.page.locator(".opblock")).to_have_count(len(operations))
    expect(docs.page.locator("#operations-classify-classify")).to_be_visible()


def test_calls_need_an_authorisation_and_work_with_it(docs: Visit) -> None:
    listing = opened(docs, "models-listModels")
    expect(execute(listing).locator(".response-col_status").last).to_contain_text("401")
    dialogue = authorize(docs, "not the password")
    expect(dialogue.locator(".errors").first).to_contain_text("Bad Request, error: invalid_grant")
    expect(dialogue.get_by_role("heading", name="Authorized")).to_have_count(0)
    dialogue.get_by_role("button", name="Close", exact=True).first.click()
    dialogue = authorize(docs)
    expect(dialogue.get_by_role("heading", name="Authorized").first).to_be_visible()
    dialogue.get_by_role("button", name="Close", exact=True).first.click()
    answer = execute(listing)
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text('"name": "colours"')
    classify_a_photo(docs)


def classify_a_photo(docs: Visit) -> None:
    block = opened(docs, "classify-classify")
    block.locator("input[type=file]").first.set_input_files(photo("blue.png", plain(BLUE)))
    answer = execute(block)
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text('"label": "blue"')


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[LiveServer]:
    """A server whose docs need a token."""
    with serve(tmp_path_factory.mktemp("guarded"), models=colours, POTOO_DOCS="token") as live:
        yield live


@pytest.fixture
def gate(browser: Browser, guarded: LiveServer) -> Iterator[Visit]:
    """The docs of that server, without a sign-in."""
    with visit(browser, guarded.url) as visited:
        visited.page.goto(f"{guarded.url}/docs")
        expect(visited.page.get_by_label("Name")).to_be_focused()
        assert visited.faults == ["401 for /openapi.json"]  # the page detects it by this status
        visited.faults.clear()
        yield visited


def test_guarded_docs_require_sign_in_and_keep_no_token(gate: Visit, guarded: LiveServer) -> None:
    expect(gate.page.locator(".opblock")).to_have_count(0)
    assert gate.page.request.get(f"{guarded.url}/openapi.json").status == 401
    with (
        gate.page.expect_response("**/v1/auth/token") as answered,
        gate.page.expect_response("**/v1/auth/revoke") as revoked,
    ):
        gate.sign_in()
    expect(gate.page.locator("#operations-classify-classify")).to_be_visible()
    expect(gate.page.locator("form")).to_have_count(0)
    kept = gate.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    issued = answered.value.json()
    assert issued["scope"] == "models:read"
    for token in (issued["access_token"], issued["refresh_token"]):
        assert token not in kept + gate.page.content() + gate.page.url
    assert gate.page.context.cookies() == []
    assert revoked.value.status == 200
    assert not holds(guarded, issued["access_token"])
    dialogue = authorize(gate)
    dialogue.get_by_role("button", name="Close", exact=True).first.click()
    classify_a_photo(gate)


def test_guarded_docs_stay_closed_for_a_wrong_password(gate: Visit) -> None:
    gate.sign_in(password="not the password")
    expect(gate.page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(gate.page.locator(".opblock")).to_have_count(0)
    gate.sign_in()
    expect(gate.page.locator(".opblock").first).to_be_visible()


def test_account_of_any_scope_reads_guarded_docs(gate: Visit, guarded: LiveServer) -> None:
    person = add_person(guarded, scopes=["metrics"])
    gate.sign_in(person.name, person.password)
    expect(gate.page.locator(".opblock").first).to_be_visible()
    assert gate.page.evaluate("document.styleSheets.length") == 1  # only Swagger UI's


@pytest.mark.parametrize("width", [320, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_guarded_docs_form_looks_like_the_page(
    browser: Browser, guarded: LiveServer, *, scheme: str, width: int
) -> None:
    profile = {"viewport": {"width": width, "height": 700}, "color_scheme": scheme}
    with visit(browser, guarded.url, **profile) as visited:
        expect(visited.page.get_by_label("Name")).to_be_visible()
        dressed = visited.page.evaluate(DRESS)
        visited.page.goto(f"{guarded.url}/docs")
        expect(visited.page.get_by_label("Name")).to_be_focused()
        assert visited.page.evaluate(DRESS) == dressed
        assert visited.page.evaluate("document.documentElement.scrollWidth") == width
        visited.faults.clear()


def test_disabled_docs_are_not_found(tmp_path: Path, colours: Path) -> None:
    with serve(tmp_path, models=colours, POTOO_DOCS="off") as live:
        for path in ("/docs", "/openapi.json", "/static/docs.js", "/static/docs.html"):
            assert httpx.get(live.url + path).status_code == 404
        assert httpx.get(live.url).status_code == 200
