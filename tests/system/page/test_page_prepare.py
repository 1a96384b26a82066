"""The view Prepare of the web page: images, numbers and texts of a real server, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from service.modeltools.sources.built_in import put
from tests.support.callers.accounts import Person, add_person
from tests.support.models.pictures import BLUE, RED, encoded, plain
from tests.support.models.tiny_model import SIDE, write_model
from tests.support.servers.accessibility import LEAST_CONTRAST, assert_fits, contrasts_of
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer, serve

DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 1000}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
ROWS = "age,fare\n10,7\n20,NaN\n,9\n30,11\n"
MARKUP = "<img src=x onerror=alert(1)>"
ARABIC = "مرحبا بالعالم"
PIXEL = """(canvas, [x, y]) => {
    const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    context.drawImage(canvas, 0, 0);
    const [left, top] = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
    return [...context.getImageData(left, top, 1, 1).data];
}"""
DIRECTION = "(element) => getComputedStyle(element).direction"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a model of photos, one of texts, and a scaler."""
    models = tmp_path_factory.mktemp("models")
    write_model(models)
    put("language", models, lambda _: None, lambda _: None)
    with serve(
        tmp_path_factory.mktemp("server"), models=models, POTOO_DEFAULT_MODEL="colours"
    ) as live:
        with live.client("preprocess models:write") as client:
            csv = {"content-type": "text/csv"}
            sums = client.post("/v1/scalers/sums", content=ROWS, headers=csv).json()
            fit = {"kind": "min-max", "impute": "mean", "sums": [sums]}
            client.post("/v1/scalers/passengers", json=fit).raise_for_status()
        yield live


@pytest.fixture(scope="module")
def keeper(server: LiveServer) -> Person:
    """A person who may prepare."""
    return add_person(server, scopes=["classify", "models:read", "preprocess"])


@pytest.fixture
def page(browser: Browser, server: LiveServer, keeper: Person) -> Iterator[Page]:
    with visit(browser, server.url, **DESKTOP) as visited:
        yield open_prepare(visited, keeper)


def open_prepare(visited: Visit, person: Person) -> Page:
    visited.sign_in(person.name, person.password)
    visited.page.get_by_role("tab", name="Prepare").click()
    return visited.page


def section(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name)


def figures(where: Locator) -> dict[str, str]:
    """Names and values of a list of definitions."""
    names = where.locator("dt").all_inner_texts()
    return dict(zip(names, where.locator("dd").all_inner_texts(), strict=True))


def halves() -> bytes:
    """Red on the left and blue on the right."""
    picture = Image.new("RGB", (64, 64), RED)
    picture.paste(BLUE, (32, 0, 64, 64))
    return encoded(picture)


@pytest.mark.parametrize("profile", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_view_shows_what_models_are_fed(
    browser: Browser, server: LiveServer, keeper: Person, profile: dict[str, Any]
) -> None:
    with visit(browser, server.url, reduced_motion="reduce", **profile) as visited:
        page = visited.page
        visited.sign_in(keeper.name, keeper.password)
        visited.show(photo("halves.png", halves()))
        page.get_by_role("button", name="What the model sees: halves.png").click()
        expect(page.get_by_role("heading", name="Image", exact=True)).to_be_focused()
        check_image(section(page, "Image"))
        check_numbers(section(page, "Numbers"))
        check_text(section(page, "Text"))
        assert_fits(page, profile["viewport"]["width"])
        contrasts = contrasts_of(page)
        page.get_by_role("tab", name="Photos").click()
        expect(visited.card("halves.png")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        assert page.locator("#prepare-words").input_value() == ""
        assert page.locator("#prepare-seen").evaluate("(canvas) => canvas.width") == 0
    assert [one for one in contrasts if one[1] < LEAST_CONTRAST] == []


def check_image(image: Locator) -> None:
    expect(image.get_by_role("status")).to_have_text("Prepared: halves.png.")
    seen = image.get_by_role("img", name="What the model sees")
    assert seen.evaluate(PIXEL, [0.2, 0.5]) == [*RED, 255]
    assert seen.evaluate(PIXEL, [0.8, 0.5]) == [*BLUE, 255]
    shown = figures(image)
    assert re.findall(r"\d+", shown["Shape"]) == ["1", "3", str(SIDE), str(SIDE)]
    assert (shown["Type"], shown["Layout"]) == ("FP32", "NCHW RGB")
    assert (shown["Minimum"], shown["Maximum"]) == ("0", "1")
    words = "minimum 0, maximum 1, mean 0.5"
    red = image.get_by_role("img", name=f"Red: {words}")
    low, high = red.evaluate(PIXEL, [0.8, 0.5]), red.evaluate(PIXEL, [0.2, 0.5])
    assert sum(low) < sum(high)
    green = image.get_by_role("img", name="Green: minimum 0, maximum 0, mean 0")
    assert green.evaluate(PIXEL, [0.2, 0.5]) == low


def check_numbers(numbers: Locator) -> None:
    numbers.get_by_label("Rows as CSV").fill(ROWS)
    numbers.get_by_label("Scaling").select_option("min-max")
    numbers.get_by_role("button", name="Scale", exact=True).click()
    status = numbers.get_by_role("status")
    expect(status).to_have_text("min-max · 4 rows · 2 columns · 2 NaN, 0 replaced")
    assert figures(numbers) == {
        "NaN": "1",
        "Replaced": "0",
        "Subtracted": "10",
        "Divided by": "20",
    }
    expect(numbers.get_by_role("img", name="Before: 3 numbers from 10 to 30")).to_be_visible()
    expect(numbers.get_by_role("img", name="After: 3 numbers from 0 to 1")).to_be_visible()
    numbers.get_by_label("Column").select_option("fare")
    expect(numbers.get_by_role("img", name="Before: 3 numbers from 7 to 11")).to_be_visible()
    numbers.get_by_label("Scaling").select_option("passengers 1")
    expect(numbers.get_by_label("Missing numbers")).to_be_disabled()
    file = photo("rows.csv", ROWS.encode(), "text/csv")
    numbers.locator("input[type=file]").set_input_files(file)
    expect(status).to_have_text("passengers 1 · 4 rows · 2 columns · 2 NaN, 2 replaced")
    expect(numbers.get_by_role("img", name="After: 4 numbers from 0 to 1")).to_be_visible()
    shown = figures(numbers)
    assert (shown["Replaced by"], shown["Subtracted"], shown["Divided by"]) == ("9", "7", "4")


def check_text(text: Locator) -> None:
    text.get_by_label("Text", exact=True).fill(f"{MARKUP} the end")
    text.get_by_label("Tokens at most").fill("8")
    text.get_by_role("button", name="Cut into tokens").click()
    expect(text.get_by_role("status")).to_contain_text("language 1 · 8 tokens · ")
    expect(text.get_by_role("list", name="Tokens").get_by_role("listitem")).to_have_count(8)
    shown = text.locator(".pieces")
    expect(shown).to_have_text(f"{MARKUP} the end")
    expect(shown.locator("del")).to_contain_text("the end")
    assert shown.evaluate(DIRECTION) == "ltr"
    text.get_by_label("Text", exact=True).fill(ARABIC)
    text.get_by_label("Tokens at most").fill("")
    text.get_by_label("Text", exact=True).press("Control+Enter")
    expect(shown).to_have_text(ARABIC)
    assert shown.evaluate(DIRECTION) == "rtl"
    pieces = shown.locator(".piece").all_inner_texts()
    assert "".join(pieces) == ARABIC.replace(" ", "")
    expect(shown.locator("del")).to_have_count(0)


def test_bad_input_says_what_is_wrong_and_hides_the_last_result(page: Page, tmp_path: Path) -> None:
    image, numbers, text = (section(page, name) for name in ("Image", "Numbers", "Text"))
    image.locator("input[type=file]").set_input_files(photo("blue.png", plain(BLUE)))
    expect(image.get_by_role("group", name="Channels")).to_be_visible()
    image.locator("input[type=file]").set_input_files(photo("no.png", b"not an image"))
    expect(image.get_by_role("alert")).to_contain_text("Not a JPEG, PNG")
    expect(image.get_by_role("group", name="Channels")).to_be_hidden()
    scale = numbers.get_by_role("button", name="Scale", exact=True)
    scale.click()
    expect(numbers.get_by_role("alert")).to_have_text("Paste rows, or choose a CSV file.")
    numbers.get_by_label("Rows as CSV").fill("1,2\n3\n")
    scale.click()
    expect(numbers.get_by_role("alert")).to_contain_text("2")
    numbers.get_by_label("Rows as CSV").fill("1e308\n-1e308\nNaN\n")
    numbers.get_by_label("Scaling").select_option("passengers 1")
    scale.click()
    expect(numbers.get_by_role("alert")).to_contain_text("columns")
    large = tmp_path / "large.csv"
    large.write_bytes(b"1\n" * (3 * 2**20))
    numbers.locator("input[type=file]").set_input_files(large)
    expect(numbers.get_by_role("alert")).to_contain_text("up to 5 MB")
    text.get_by_role("button", name="Cut into tokens").click()
    expect(text.get_by_role("alert")).to_have_text("Type a text.")


def test_account_without_the_scope_reads_why(browser: Browser, server: LiveServer) -> None:
    person = add_person(server)
    with visit(browser, server.url, **DESKTOP) as visited:
        page = visited.page
        page.goto(f"{server.url}/#prepare")
        visited.sign_in(person.name, person.password)
        expect(page.get_by_text("Prepare: This account may not use it")).to_be_visible()
        expect(page.get_by_role("tab", name="Prepare")).to_be_hidden()
        visited.show(photo("blue.png", plain(BLUE)))
        expect(visited.card("blue.png").locator(".verdict")).to_contain_text("blue")
        expect(visited.card("blue.png").get_by_text("What the model sees")).to_be_hidden()
        page.get_by_role("tab", name="Live").click()
        expect(page.get_by_text("This account may not use it")).to_be_hidden()
