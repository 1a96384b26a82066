"""Photos and results on the web page, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.support.models.pictures import BLUE, GREEN, RED, oriented, plain
from tests.support.servers.browser import Visit, photo, visit
from tests.support.servers.server import LiveServer

GREY = (90, 90, 90)
NOT_AN_IMAGE = "Not a JPEG, PNG, WebP, GIF, BMP or TIFF image."
DROP = """([zone, event, name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
    const data = event === "paste" ? "clipboardData" : "dataTransfer";
    const type = event === "paste" ? ClipboardEvent : DragEvent;
    const init = { [data]: transfer, bubbles: true, cancelable: true };
    return document.querySelector(zone).dispatchEvent(new type(event, init));
}"""


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Visit]:
    """A signed-in page."""
    with visit(browser, server.url) as visited:
        visited.sign_in()
        expect(visited.page.locator("#workspace")).to_be_visible()
        yield visited


def test_every_photo_gets_its_own_answer_or_error(page: Visit) -> None:
    page.show(
        photo("red.png", plain(RED)),
        photo("blue.jpg", plain(BLUE, (1200, 800), "JPEG"), "image/jpeg"),
        photo("notes.jpg", b"just a text", "image/jpeg"),
        photo("scan.tif", plain(GREEN, format="TIFF"), "image/tiff"),
        photo("half.png", plain(GREEN)[:-30]),
        photo("nothing.png", b""),
        photo("logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    )
    expect(page.page.locator("#summary")).to_have_text("7 photos · 4 without an answer")
    for name, label, facts in (
        ("red.png", "red", "PNG · 64 \N{MULTIPLICATION SIGN} 48"),
        ("blue.jpg", "blue", "JPEG · 1200 \N{MULTIPLICATION SIGN} 800"),
        ("scan.tif", "green", "TIFF · 64 \N{MULTIPLICATION SIGN} 48"),
    ):
        card = page.card(name)
        expect(card.locator(".bars li")).to_have_count(3)
        expect(card.locator(".bars .label").first).to_have_text(label)
        expect(card.locator(".bars .score").first).to_have_text("100.0%")
        expect(card.locator(".facts")).to_contain_text(facts)
        expect(card.locator(".facts")).to_contain_text(" ms · colours")
        expect(card.locator(".retry")).to_be_hidden()
    for name, fault in (
        ("notes.jpg", NOT_AN_IMAGE),
        ("logo.svg", NOT_AN_IMAGE),
        ("half.png", "The image is truncated or damaged."),
        ("nothing.png", "The image has no bytes."),
    ):
        expect(page.card(name).locator(".remark")).to_have_text(fault)
        expect(page.card(name).locator(".retry")).to_be_hidden()


def test_thumbnails_are_upright_and_undisplayable_images_get_a_tile(
    page: Visit,
) -> None:
    upright = Image.new("RGB", (90, 60), RED)
    upright.paste(BLUE, (0, 30, 90, 60))
    page.show(
        photo("turned.jpg", oriented(upright, 6, "JPEG", quality=95), "image/jpeg"),
        photo("scan.tif", plain(GREEN, format="TIFF"), "image/tiff"),
    )
    expect(page.card("turned.jpg").locator("canvas")).to_be_visible()
    column = page.page.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(320, 0, 1, 480).data]"
    )
    top, bottom = column[:4], column[-4:]
    assert top[0] > 2 * top[2]
    assert bottom[2] > 2 * bottom[0]
    expect(page.card("scan.tif")).to_have_attribute("data-state", "done")
    expect(page.card("scan.tif").locator(".tile")).to_be_visible()
    expect(page.card("scan.tif").locator("canvas")).to_have_count(0)


def test_abstention_is_shown_as_not_sure(page: Visit) -> None:
    page.show(photo("fog.png", plain(GREY)))
    card = page.card("fog.png")
    expect(card.locator(".verdict")).to_have_text("Not sure")
    expect(card.locator(".bars .score")).to_have_text(["33.3%"] * 3)
    expect(page.page.locator("#summary")).to_have_text("1 photo · 1 not sure")


def test_four_uploads_run_concurrently_with_progress(page: Visit) -> None:
    gate = page.hold()
    page.show(*(photo(f"{place}.png", plain(GREEN)) for place in range(9)))
    looking = page.page.locator(".card[data-state=looking]")
    waiting = page.page.locator(".card[data-state=waiting]")
    for done in range(9):
        expect(page.page.locator("#progress-text")).to_have_text(f"{done} of 9")
        expect(page.page).to_have_title(f"{done} of 9 · Potoo")
        expect(looking).to_have_count(min(4, 9 - done))
        expect(waiting).to_have_count(max(0, 5 - done))
        assert len(gate.waiting) == min(4, 9 - done)
        gate.let_one_through()
    expect(page.page.locator("#progress")).to_be_hidden()
    expect(page.page.locator("#announcer")).to_have_text("Done: 9 photos.")


def test_temporary_failures_can_be_retried(page: Visit) -> None:
    page.page.context.set_offline(True)
    page.show(*(photo(f"{colour}.png", plain(GREEN)) for colour in ("a", "b", "c")))
    for card in page.page.locator(".card").all():
        expect(card.locator(".remark")).to_have_text("The server cannot be reached.")
    page.page.context.set_offline(False)
    page.card("a.png").get_by_role("button", name="Try again: a.png").click()
    expect(page.card("a.png")).to_have_attribute("data-state", "done")
    expect(page.card("b.png")).to_have_attribute("data-state", "failed")
    page.page.get_by_role("button", name="Try 2 again").click()
    expect(page.page.locator(".card[data-state=done]")).to_have_count(3)
    expect(page.page.locator("#retry-all")).to_be_hidden()


def test_changed_file_is_reported(page: Visit, tmp_path: Path) -> None:
    moved = tmp_path / "moved.png"
    moved.write_bytes(plain(RED))
    gate = page.hold()
    page.show(*(photo(f"{place}.png", plain(GREEN)) for place in range(4)))
    page.page.locator("#files").set_input_files(moved)
    expect(page.card("moved.png")).to_have_attribute("data-state", "waiting")
    moved.unlink()
    gate.open()
    expect(page.card("moved.png").locator(".remark")).to_contain_text("The file cannot be read")
    expect(page.page.locator(".card[data-state=done]")).to_have_count(4)


def test_oversized_upload_is_explained(page: Visit, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(25 * 2**20)
    page.page.locator("#files").set_input_files(large)
    expect(page.card("large.jpg").locator(".remark")).to_have_text(
        "The body is larger than the 20 MiB that are taken."
    )


@pytest.mark.parametrize(
    ("size", "least_bytes", "sent"),
    [((12_000, 9_000), 2**20, (2048, 1536)), ((4_000, 1_500), 21 * 2**20, (2731, 1024))],
    ids=["108 megapixels", "21 MB"],
)
def test_large_photo_is_made_smaller_before_it_is_sent(
    page: Visit, tmp_path: Path, *, size: tuple[int, int], least_bytes: int, sent: tuple[int, int]
) -> None:
    large = tmp_path / "large.jpg"
    Image.new("RGB", size, RED).save(large, quality=95)
    with large.open("ab") as file:  # browsers ignore what follows the end
        file.write(bytes(max(0, least_bytes - large.stat().st_size)))
    with page.page.expect_request("**/v1/classify*") as asked:
        page.page.locator("#files").set_input_files(large)
    expect(page.card("large.jpg").locator(".bars .label").first).to_have_text("red")
    times = "\N{MULTIPLICATION SIGN}"
    expect(page.card("large.jpg").locator(".facts")).to_contain_text(
        f"JPEG · {size[0]} {times} {size[1]}, sent as {sent[0]} {times} {sent[1]}"
    )
    assert asked.value.headers["content-type"] == "image/jpeg"


def test_small_or_narrow_photo_is_sent_as_it_is(page: Visit, tmp_path: Path) -> None:
    narrow = tmp_path / "narrow.png"
    Image.new("RGB", (9000, 100), RED).save(narrow)
    with narrow.open("ab") as file:
        file.write(bytes(2**20))
    page.page.locator("#files").set_input_files(narrow)
    expect(page.card("narrow.png").locator(".facts")).to_contain_text("PNG · 9000")


@pytest.mark.parametrize(
    ("event", "where"), [("drop", "#drop-zone"), ("drop", "footer"), ("paste", "body")]
)
def test_photos_can_be_dropped_and_pasted(page: Visit, event: str, where: str) -> None:
    goes_on = page.page.evaluate(DROP, [where, event, "red.png", list(plain(RED))])
    assert goes_on is (event == "paste")  # the browser must not open the dropped file
    expect(page.card("red.png").locator(".bars .label").first).to_have_text("red")


def test_clear_cancels_uploads_and_keeps_the_page_usable(page: Visit) -> None:
    gate = page.hold()
    page.show(*(photo(f"{place}.png", plain(GREEN)) for place in range(6)))
    expect(page.page.locator(".card[data-state=looking]")).to_have_count(4)
    ended: list[str] = []
    page.page.on("requestfailed", lambda request: ended.append(request.url))
    page.page.get_by_role("button", name="Clear").click()
    expect(page.page.locator(".card")).to_have_count(0)
    expect(page.page.locator("#progress")).to_be_hidden()
    gate.open()
    page.show(photo("next.png", plain(BLUE)))
    expect(page.card("next.png").locator(".bars .label").first).to_have_text("blue")
    expect(page.page.locator("#summary")).to_have_text("1 photo")
    assert len(ended) == 4


def test_examples_are_for_people_without_a_photo(page: Visit) -> None:
    page.page.get_by_role("button", name="Try examples").click()
    for name in ("umbrella.png", "traffic-light.png", "balloon.png"):
        expect(page.card(name)).to_have_attribute("data-state", "done")
        expect(page.card(name).locator(".facts")).to_contain_text("PNG · 640")
        expect(page.card(name).locator("canvas")).to_be_visible()
    expect(page.page.locator("#examples")).to_be_hidden()
    expect(page.page.locator("#choose")).to_be_focused()
    page.page.get_by_role("button", name="Clear").click()
    expect(page.page.locator("#examples")).to_be_visible()


def test_same_photo_can_be_chosen_again(page: Visit, tmp_path: Path) -> None:
    again = tmp_path / "again.png"
    again.write_bytes(plain(RED))
    for count in (1, 2):
        page.page.locator("#files").set_input_files(again)
        expect(page.page.locator(".card[data-state=done]")).to_have_count(count)
    assert page.page.locator("#files").input_value() == ""


def test_page_monitor_detects_violations(page: Visit) -> None:
    page.page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.page.evaluate("new Image().src = 'http://localhost:9/elsewhere.png'")
    page.page.evaluate("setTimeout(() => { throw Error('oops') })")
    page.page.evaluate("fetch('static/missing.js').then(() => 0)")
    found = "\n".join(page.faults)
    page.faults.clear()
    for fault in (
        "Content Security Policy",
        "another origin",
        "oops",
        "404 for /static/missing.js",
    ):
        assert fault in found
