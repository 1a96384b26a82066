"""The verdict on a card of the web page: summary, "not sure", or all labels present."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from service.cli.shared.percent import percent
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import GROUPED, MEASURED, write_model, write_multi_label
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer, serve

TEAL, GREY, YELLOW, BLACK = (0, 255, 230), (90, 90, 90), (255, 255, 0), (0, 0, 0)
SCORES = (0.0, 1e-9, 0.000499, 0.0005, 0.00149, 0.1225, 0.5, 0.7005, 0.9994, 0.999499, 0.9995, 1.0)
AS_THE_PAGE_SAYS = """async (scores) => {
    const { percent } = await import("/static/parts/percent.js");
    return scores.map(percent);
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The colour model with a group and a calibration, and a multi-label one."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository, None, **GROUPED, **MEASURED)
    write_multi_label(repository, {"thresholds": [0.5, 0.5, 0.9]}, name="many")
    folder = tmp_path_factory.mktemp("server")
    with serve(folder, models=repository, POTOO_DEFAULT_MODEL="colours") as live:
        yield live


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    """A signed-in page."""
    with visit(browser, server.url) as visited:
        visited.sign_in()
        expect(visited.page.locator("#workspace")).to_be_visible()
        yield visited


def shown(page: Visit, colour: tuple[int, int, int], model: str = "colours") -> Locator:
    """The card of a photo of one colour, once it is answered."""
    page.page.locator("#model").select_option(model)
    page.show(photo("photo.png", plain(colour)))
    card = page.card("photo.png")
    expect(card).to_have_attribute("data-state", "done")
    return card


def test_confident_label_is_the_verdict(page: Visit) -> None:
    card = shown(page, RED)
    expect(card.locator(".verdict")).to_have_text("red 100.0%")
    expect(card.locator(".remark")).to_be_hidden()
    expect(card.locator(".tags")).to_be_hidden()
    expect(card.locator(".facts")).not_to_contain_text("calibrated")


def test_confident_group_is_shown_with_its_likeliest_label(page: Visit) -> None:
    card = shown(page, TEAL)
    expect(card.locator(".verdict")).to_have_text("cool colour 100.0%")
    expect(card.locator(".remark")).to_have_text("perhaps green 72.7%")
    expect(card.locator(".bars .label")).to_have_text(["green", "blue", "red"])
    expect(card.locator(".bars .score")).to_have_text(["72.7%", "27.3%", "<0.1%"])


def test_abstention_shows_the_likeliest_labels(page: Visit) -> None:
    card = shown(page, GREY)
    expect(card.locator(".verdict")).to_have_text("Not sure")
    expect(card.locator(".remark")).to_have_text("It looks most like:")
    expect(card.locator(".bars .score")).to_have_text(["33.3%"] * 3)
    expect(page.page.locator("#summary")).to_have_text("1 photo · 1 not sure")


def test_present_labels_are_shown_as_tags(page: Visit) -> None:
    card = shown(page, YELLOW, "many")
    expect(card.get_by_role("list", name="Labels present").locator("li")).to_have_text(
        ["red 99.3%", "green 99.3%"]
    )
    expect(card.locator(".verdict")).to_be_hidden()
    expect(card.locator(".facts")).to_contain_text("not calibrated")
    expect(card.get_by_title("The scores of this model were not measured")).to_be_visible()


def test_absence_of_labels_is_shown(page: Visit) -> None:
    card = shown(page, BLACK, "many")
    expect(card.locator(".verdict")).to_have_text("None of its labels")
    expect(card.locator(".tags")).to_be_hidden()
    expect(page.page.locator("#summary")).to_have_text("1 photo · 1 with none of the labels")


def test_page_and_command_line_format_percentages_alike(page: Visit) -> None:
    assert page.page.evaluate(AS_THE_PAGE_SAYS, SCORES) == [percent(score) for score in SCORES]
