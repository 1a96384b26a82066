"""``/docs``: Swagger UI from the machine itself, under its Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser import Visit, photo, visit
from tests.pictures import BLUE, plain
from tests.server import PASSWORD, LiveServer


@pytest.fixture
def docs(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    with visit(browser, server.url) as visited:
        visited.page.goto(f"{server.url}/docs")
        expect(visited.page.locator(".opblock").first).to_be_visible()
        yield visited


def authorize(docs: Visit, password: str = PASSWORD) -> Locator:
    """Signs in with the button of that name; the dialogue stays open."""
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


def test_every_route_of_the_api_is_shown(docs: Visit, server: LiveServer) -> None:
    document = docs.page.request.get(f"{server.url}/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path]
    expect(docs.page.locator(".opblock")).to_have_count(len(operations))
    expect(docs.page.locator("#operations-classify-classify")).to_be_visible()


def test_authorize_and_execute_list_the_models(docs: Visit) -> None:
    block = opened(docs, "models-listModels")
    expect(execute(block).locator(".response-col_status").last).to_contain_text("401")
    dialogue = authorize(docs)
    expect(dialogue.get_by_role("heading", name="Authorized").first).to_be_visible()
    dialogue.get_by_role("button", name="Close", exact=True).first.click()
    answer = execute(block)
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text('"name": "colours"')


def test_a_photo_is_classified_from_the_docs(docs: Visit) -> None:
    dialogue = authorize(docs)
    dialogue.get_by_role("button", name="Close", exact=True).first.click()
    block = opened(docs, "classify-classify")
    block.locator("input[type=file]").first.set_input_files(photo("blue.png", plain(BLUE)))
    answer = execute(block)
    expect(answer.locator(".response-col_status").last).to_contain_text("200")
    expect(answer).to_contain_text('"label": "blue"')


def test_a_wrong_password_does_not_authorize(docs: Visit) -> None:
    dialogue = authorize(docs, "not the password")
    expect(dialogue.locator(".errors").first).to_contain_text("Bad Request, error: invalid_grant")
    expect(dialogue.get_by_role("heading", name="Authorized")).to_have_count(0)
