"""The dialogue of a model's classes on the web page: groups, search, measured accuracy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.support.models.tiny_model import GROUPED, MEASURED, write_model
from tests.support.servers.browser import Visit, visit
from tests.support.servers.server import LiveServer, serve

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=document.title='owned'>"
TREE = {
    "groups": {"green": "cool", "blue": "cool", "red": "warm", "cool": "colour", "warm": "colour"},
    "synonyms": {"blue": ["azure", "ciel bleu foncé"]},
}
ACCURACY = {"dataset": "drawn colours", "split": "test", "photos": 1200, "top1": 0.9631}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A calibrated model with two levels of groups, an uncalibrated one, a hostile one."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository, None, **{**GROUPED, **MEASURED, **TREE, "accuracy": [ACCURACY]})
    write_model(repository, name="plain", unnamed=["green"])
    hostile = ["red", "green", "constructor"]
    groups = {"red": MARKUP, "constructor": "__proto__"}
    write_model(repository, name="hostile", labels=hostile, groups=groups, description=MARKUP)
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


def opened(page: Visit, model: str = "colours") -> Locator:
    """The dialogue of a model, once its classes are there."""
    page.page.locator("#model").select_option(model)
    page.page.get_by_role("button", name="What it knows").click()
    dialogue = page.page.get_by_role("dialog")
    expect(dialogue.get_by_role("heading", name=f"What {model} knows")).to_be_visible()
    return dialogue


def labels(dialogue: Locator) -> Locator:
    """The visible labels."""
    return dialogue.locator(".labels li:visible")


def test_classes_unfold_by_group(page: Visit) -> None:
    dialogue = opened(page)
    expect(dialogue.get_by_role("status")).to_have_text("3 classes in 3 groups")
    expect(dialogue.locator("summary:visible")).to_have_text(["colour 3"])
    expect(labels(dialogue)).to_have_count(0)
    dialogue.get_by_text("colour", exact=True).click()
    expect(dialogue.locator("summary:visible")).to_have_text(["colour 3", "cool 2", "warm 1"])
    dialogue.get_by_text("cool", exact=True).click()
    expect(labels(dialogue)).to_have_text(["blue", "green"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("gre", ["green"]),
        ("AZURE", ["blue or azure"]),
        ("fonce ciel", ["blue or ciel bleu foncé"]),
        ("cool", ["blue", "green"]),
    ],
    ids=["a label", "a synonym", "without accents, in any order", "a group"],
)
def test_search_finds_labels_synonyms_and_groups(page: Visit, query: str, found: list[str]) -> None:
    dialogue = opened(page)
    dialogue.get_by_role("searchbox").fill(query)
    expect(labels(dialogue)).to_have_text(found)
    expect(dialogue.get_by_role("status")).to_have_text(f"{len(found)} of 3")


def test_search_result_shows_the_groups_of_a_wide_group(page: Visit) -> None:
    dialogue = opened(page)
    dialogue.get_by_role("searchbox").fill("colour")
    expect(dialogue.locator("summary:visible")).to_have_text(["colour 3"])
    expect(dialogue.get_by_role("status")).to_have_text("3 of 3")


def test_search_without_results_is_reported(page: Visit) -> None:
    dialogue = opened(page)
    dialogue.get_by_role("searchbox").fill("cat")
    expect(dialogue.get_by_role("status")).to_have_text("No class, synonym or group has this name.")
    dialogue.get_by_role("searchbox").fill("")
    expect(dialogue.locator("summary:visible")).to_have_text(["colour 3"])


def test_calibration_and_accuracy_are_shown(page: Visit) -> None:
    about = opened(page).locator("#knows-about")
    expect(about).to_contain_text(
        "96% of its answers were right on 645 test photos (drawn colours); it answered 87%."
    )
    expect(about).to_contain_text(
        "96.3% right at the first guess: 1,200 photos, drawn colours, test"
    )


def test_uncalibrated_model_is_indicated(page: Visit) -> None:
    dialogue = opened(page, "plain")
    expect(dialogue.locator("#knows-about")).to_contain_text("Not calibrated")


def test_unnamed_labels_are_omitted(page: Visit) -> None:
    dialogue = opened(page, "plain")
    expect(labels(dialogue)).to_have_text(["blue", "red"])
    expect(dialogue.get_by_role("status")).to_have_text("2 classes")


def test_hostile_labels_and_groups_are_shown_as_text(page: Visit) -> None:
    dialogue = opened(page, "hostile")
    expect(dialogue.locator("#knows-about")).to_contain_text(MARKUP)
    expect(dialogue.locator(".group-name")).to_have_text(["__proto__", MARKUP])
    dialogue.get_by_role("searchbox").fill("constructor")
    expect(labels(dialogue)).to_have_text(["constructor"])
    assert dialogue.locator("img, script").count() == 0
    expect(page.page).to_have_title("Potoo")


def test_dialogue_works_by_keyboard(page: Visit) -> None:
    keyboard = page.page.keyboard
    page.page.get_by_role("button", name="What it knows").focus()
    keyboard.press("Enter")
    dialogue = page.page.get_by_role("dialog")
    expect(dialogue.get_by_role("searchbox")).to_be_focused()
    keyboard.type("azure")
    expect(labels(dialogue)).to_have_text(["blue or azure"])
    keyboard.press("Tab")
    keyboard.press("Enter")  # folds the wide group again
    expect(labels(dialogue)).to_have_count(0)
    dialogue.get_by_role("button", name="Close").focus()
    keyboard.press("Enter")
    expect(page.page.get_by_role("dialog")).to_be_hidden()
    expect(page.page.get_by_role("button", name="What it knows")).to_be_focused()


def test_unreachable_server_is_reported(page: Visit) -> None:
    page.page.context.set_offline(True)
    page.page.get_by_role("button", name="What it knows").click()
    alert = page.page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_have_text("The server cannot be reached.")


def test_dialogue_fits_a_phone_screen(browser: Browser, server: LiveServer) -> None:
    phone = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
    with visit(browser, server.url, **phone) as visited:
        visited.sign_in()
        dialogue = opened(visited, "hostile")
        dialogue.locator("summary").first.tap()
        inside, screen = dialogue.evaluate("(found) => [found.scrollWidth, found.clientWidth]")
        assert inside <= screen <= 320
        for control in dialogue.locator(":is(button, input, summary):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert box["height"] >= 44
