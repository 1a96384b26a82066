"""The view Teach of the web page: from drawn photos to a model that answers, in a real browser."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from service.modeltools.sources.built_in import put
from tests.support.callers.accounts import Person, add_person
from tests.support.cameras.snapshots import snapshot_camera
from tests.support.models.pictures import RED, encoded
from tests.support.servers.accessibility import LEAST_CONTRAST, assert_fits, contrasts_of
from tests.support.servers.browser import ARGUMENTS, Visit, open_browser, photo, visit
from tests.support.servers.server import LiveServer, serve
from tests.support.waiting import wait_until

DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 1000}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
KINDS = ["day", "night"]
TEACHER = ["classify", "models:read", "models:write", "teach"]
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
BRIGHTNESS = """(canvas) => {
    const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    context.drawImage(canvas, 0, 0);
    const [red, green, blue] = context.getImageData(2, 2, 1, 1).data;
    return red + green + blue;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium with a fake camera."""
    with open_browser([*ARGUMENTS, *FAKE_CAMERA]) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a base to teach from."""
    models = tmp_path_factory.mktemp("models")
    put("everyday", models, lambda _: None, lambda _: None)
    with serve(tmp_path_factory.mktemp("server"), models=models) as live:
        yield live


@pytest.fixture(scope="module")
def teacher(server: LiveServer) -> Person:
    """A person who may teach and promote."""
    return add_person(server, scopes=TEACHER)


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with server.client(" ".join(TEACHER)) as signed_in:
        yield signed_in


@pytest.fixture
def page(browser: Browser, server: LiveServer, teacher: Person) -> Iterator[Page]:
    with visit(browser, server.url, reduced_motion="reduce", **DESKTOP) as visited:
        yield open_teach(visited, teacher)


def open_teach(visited: Visit, person: Person) -> Page:
    visited.sign_in(person.name, person.password)
    visited.page.get_by_role("tab", name="Teach").click()
    return visited.page


def drawn(kind: str, seed: int) -> FilePayload:
    """A photo: a sun in a bright sky, or a moon in a dark one."""
    chance = random.Random(f"{kind} {seed}")  # noqa: S311 - made-up pictures
    shade = chance.randrange(150, 220) if kind == "day" else chance.randrange(10, 50)
    image = Image.new("RGB", (320, 240), (shade // 2, shade, 255 if kind == "day" else shade))
    x, y, radius = chance.randrange(60, 260), chance.randrange(60, 180), chance.randrange(20, 45)
    circle = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(circle, fill="yellow" if kind == "day" else "white")
    return photo(f"{kind}-{seed}.png", encoded(image))


def dataset_of(client: httpx.Client, name: str, *photos: FilePayload, kind: str = "single") -> None:
    """Adds a dataset with photos that have no label."""
    new = {"name": name, "classes": KINDS, "kind": kind}
    client.post("/v1/datasets", json=new).raise_for_status()
    for one in photos:
        add(client, name, one)


def add(client: httpx.Client, name: str, one: FilePayload, **query: str) -> None:
    """Adds a photo."""
    headers = {"content-type": one["mimeType"]}
    path = f"/v1/datasets/{name}/photos"
    client.post(path, content=one["buffer"], headers=headers, params=query).raise_for_status()


def choose(page: Page, name: str) -> None:
    page.locator("#teach-dataset").select_option(name)
    expect(page.locator("#teach-options [name=model]")).to_have_value(name)


def expect_labels(client: httpx.Client, name: str, *expected: list[str] | None) -> None:
    """Wait until the photos have these labels, in any order; the page does not wait for them."""
    wanted = sorted(map(str, expected))

    def are_there() -> bool:
        photos = client.get(f"/v1/datasets/{name}/photos").raise_for_status().json()["photos"]
        return sorted(str(one["labels"]) for one in photos) == wanted

    assert wait_until(are_there)


def shown_kind(page: Page) -> str:
    """What the photo shows that waits for its label."""
    expect(page.locator("#teach-photo")).to_have_attribute("aria-busy", "false")
    return "day" if page.locator("#teach-canvas").evaluate(BRIGHTNESS) > 300 else "night"


def label(page: Page, count: int, *, by_keys: bool) -> None:
    """Labels the next photos as what they show."""
    facts = page.locator("#teach-photo-name")
    for _ in range(count):
        before = facts.inner_text()
        kind = shown_kind(page)
        if by_keys:
            page.keyboard.press(str(KINDS.index(kind) + 1))
        else:
            page.locator("#teach-classes").get_by_role("button", name=kind).tap()
        expect(facts).not_to_have_text(before)


def fill_form(page: Page, name: str) -> None:
    """Names a dataset and its classes, by keys alone after the first field."""
    page.locator("#dataset-form [name=name]").fill(name)
    page.get_by_label("Class 1, key 1").focus()
    for kind in KINDS:
        page.keyboard.type(kind)
        page.keyboard.press("Enter")
    expect(page.get_by_label("Class 3, key 3")).to_be_focused()
    page.get_by_role("button", name="Save", exact=True).click()


@pytest.mark.parametrize(
    "profile",
    [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone", marks=pytest.mark.slow)],
)
def test_model_is_taught_promoted_and_used(
    browser: Browser,
    server: LiveServer,
    client: httpx.Client,
    profile: dict[str, Any],
) -> None:
    width = profile["viewport"]["width"]
    by_keys = profile is DESKTOP
    name = f"skies-{width}"
    teacher = add_person(server, scopes=TEACHER)
    with visit(browser, server.url, reduced_motion="reduce", **profile) as visited:
        page = open_teach(visited, teacher)
        page.wait_for_load_state("networkidle")  # a dataset of another test may be shown
        contrasts = contrasts_of(page)
        page.locator("#teach-first:visible, #teach-new:visible").click()
        assert_fits(page, width)
        contrasts += contrasts_of(page)
        fill_form(page, name)
        expect(page.locator("#teach-dataset")).to_have_value(name)
        expect(page.locator("#teach-lessons")).to_be_hidden()
        assert_fits(page, width)
        photos = [drawn(kind, seed) for seed in range(7) for kind in KINDS]
        page.locator("#teach-files").set_input_files(photos)
        expect(page.locator("#teach-added")).to_have_text("14 photos added.")
        if by_keys:
            expect(page.locator("#teach-photo")).to_be_focused()
        label(page, 10, by_keys=by_keys)

        expect(page.locator("#teach-run")).to_contain_text("Taught from 10 photos.")
        verdict = page.get_by_role("region", name="How good it is")
        expect(verdict.locator("#teach-accuracy")).to_have_text(re.compile(r"^Right on \d+\.\d%"))
        expect(
            verdict.get_by_role("img", name=re.compile("with a confidence of 95%"))
        ).to_be_visible()
        expect(verdict.locator("#teach-advice li").first).to_be_visible()
        expect(verdict.locator(".matrix")).to_be_visible()
        verdict.get_by_text("As a table").click()
        expect(verdict.get_by_role("rowheader", name="day").first).to_be_visible()
        expect(page.locator("#teach-curve").get_by_role("img")).to_be_visible()
        serving = page.locator("#teach-serving")
        expect(serving).to_contain_text(f"Version 1 of {name} is in use.")
        assert_fits(page, width)
        contrasts += contrasts_of(page)

        label(page, 3, by_keys=by_keys)
        page.get_by_role("button", name="Teach now").click()
        expect(page.locator("#teach-run")).to_contain_text("Taught from 13 photos.")
        page.get_by_role("button", name="Promote version 2").click()
        expect(serving).to_contain_text(f"Version 2 of {name} is in use.")
        page.get_by_role("button", name="Roll back").click()
        expect(serving).to_contain_text(f"Version 1 of {name} is in use.")
        page.get_by_role("button", name="Promote version 2").click()
        expect(serving).to_contain_text(f"Version 2 of {name} is in use.")
        with page.expect_download() as report:
            page.get_by_role("button", name="Save the report").click()
        assert report.value.suggested_filename == f"{name}-2.html"

        page.get_by_role("button", name="Classify photos with it").click()
        expect(page.locator("#model")).to_have_value(name)
        visited.show(drawn("night", 99))
        card = visited.card("night-99.png")
        expect(card.locator(".bars li").first).to_contain_text("night")
        correct(page, card, name)
        assert_fits(page, width)
        contrasts += contrasts_of(page)
    [corrected] = [
        one
        for one in client.get(f"/v1/datasets/{name}/photos").json()["photos"]
        if one["source"] == "answer"
    ]
    assert corrected["labels"] == ["day"]
    assert corrected["answer"]["model"] == name
    assert corrected["answer"]["version"] == 2
    faint = [(text, ratio) for text, ratio in contrasts if ratio < LEAST_CONTRAST]
    assert not faint


def correct(page: Page, card: Locator, name: str) -> None:
    """Says that an answer was wrong: it was day."""
    card.get_by_role("button", name="That was wrong").click()
    expect(page.locator("#correction-dataset")).to_have_value(name)
    page.locator("#correction-classes").get_by_role("button", name="day").click()
    expect(card.locator(".corrected")).to_have_text(f"Labelled: day, in {name}")


def test_steps_are_undone_by_keys(page: Page, client: httpx.Client) -> None:
    dataset_of(client, "undone", *(drawn("day", seed) for seed in range(20, 24)))
    page.reload()
    choose(page, "undone")
    facts = page.locator("#teach-photo-name")
    expect(facts).to_contain_text("4 without a label")
    page.locator("#teach-photo").focus()
    keys = page.keyboard
    keys.press("2")
    expect(facts).to_contain_text("3 without a label")
    keys.press("Backspace")
    expect(facts).to_contain_text("4 without a label")
    keys.press("1")
    keys.press("Delete")
    keys.press("Backspace")
    expect(facts).to_contain_text("3 without a label")
    keys.press("Delete")
    keys.press("Space")
    keys.press("2")
    expect(facts).to_contain_text("the last without a label")
    keys.press("3")  # there is no third class
    page.get_by_role("button", name="Use keys").click()
    page.locator("#teach-photo").focus()
    keys.press("1")
    expect(page.get_by_role("button", name="Use keys")).to_have_attribute("aria-pressed", "false")
    page.locator("#teach-classes").get_by_role("button", name="night").click()
    expect(page.locator("#teach-nothing")).to_be_visible()
    expect(page.locator("#teach-total")).to_contain_text("3 of 3 photos labelled.")
    expect_labels(client, "undone", ["day"], ["night"], ["night"])


def test_photo_gets_several_labels(page: Page, client: httpx.Client) -> None:
    dataset_of(client, "several", drawn("day", 25), kind="multi")
    page.reload()
    choose(page, "several")
    shown_kind(page)
    page.locator("#teach-photo").focus()
    for key in ("1", "2", "2"):
        page.keyboard.press(key)
    day = page.locator("#teach-classes").get_by_role("button", name="day")
    expect(day).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#teach-nothing")).to_be_visible()
    expect(page.locator("#teach-total")).to_contain_text("1 of 1 photo labelled.")
    expect_labels(client, "several", ["day", "night"])


def test_contradicted_label_is_changed(page: Page, client: httpx.Client) -> None:
    dataset_of(client, "suspects")
    for seed in range(70, 76):
        for kind in KINDS:
            add(client, "suspects", drawn(kind, seed), label=kind)
    add(client, "suspects", drawn("night", 80), label="day")
    page.reload()
    choose(page, "suspects")
    page.get_by_role("button", name="Teach now").click()
    wrong = page.locator(".suspect").first
    expect(wrong).to_contain_text("day, or night?")
    expect(wrong.get_by_role("img", name="Photo labelled day")).to_be_visible()
    wrong.get_by_role("button", name="It is night").click()
    expect(page.locator("#teach-counts")).to_contain_text("night 7")
    expect_labels(client, "suspects", *[["day"]] * 6, *[["night"]] * 7)


def test_cameras_give_photos(browser: Browser, server: LiveServer, client: httpx.Client) -> None:
    person = add_person(server, scopes=[*TEACHER, "cameras"])
    dataset_of(client, "cameras")
    with snapshot_camera() as camera, server.client("cameras") as keeper:
        camera.show(encoded(Image.new("RGB", (64, 48), RED), "JPEG"))
        added = keeper.post("/v1/cameras", json={"name": "door", "url": camera.url})
        added.raise_for_status()
        with visit(browser, server.url, reduced_motion="reduce", **DESKTOP) as visited:
            page = open_teach(visited, person)
            choose(page, "cameras")
            expect(page.locator("#teach-watched-name")).to_have_value("door")
            assert wait_until(lambda: keeper.get("/v1/cameras/door/frame").status_code == 200)
            page.get_by_role("button", name="Take its frame").click()
            expect(page.locator("#teach-added")).to_have_text("1 photo added.")
            page.get_by_role("button", name="Camera of this device").click()
            shoot = page.get_by_role("button", name="Take a photo")
            expect(shoot).to_be_focused()
            shoot.click()
            expect(page.locator("#teach-total")).to_contain_text("0 of 2 photos labelled.")
            page.get_by_role("button", name="Stop the camera").click()
            expect(page.get_by_role("button", name="Camera of this device")).to_be_focused()
        keeper.delete("/v1/cameras/door").raise_for_status()
    photos = client.get("/v1/datasets/cameras/photos").json()["photos"]
    assert [one["source"] for one in photos] == ["camera", "camera"]
    assert all(one["captured"] for one in photos)


def test_folders_label_their_photos(page: Page, client: httpx.Client, tmp_path: Path) -> None:
    for kind, folder in (("day", "Day"), ("night", "other")):
        (tmp_path / folder).mkdir()
        picture = drawn(kind, 30)
        (tmp_path / folder / picture["name"]).write_bytes(picture["buffer"])
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "broken.png").write_text("no photo either")
    dataset_of(client, "folders")
    page.reload()
    choose(page, "folders")
    page.locator("#teach-folder-files").set_input_files(tmp_path)
    added = page.locator("#teach-added")
    expect(added).to_have_text(
        "2 photos added, 1 of them labelled by their folders, 1 photo not added."
    )
    page.get_by_text("1 photo not added: why").click()
    expect(page.locator("#teach-refused-list")).to_contain_text("broken.png: ")
    expect_labels(client, "folders", ["day"], None)


def test_label_that_cannot_be_saved_is_asked_again(page: Page, client: httpx.Client) -> None:
    dataset_of(client, "offline", drawn("day", 40))
    page.reload()
    choose(page, "offline")
    shown_kind(page)
    page.context.set_offline(True)
    page.locator("#teach-classes").get_by_role("button", name="day").click()
    notice = page.locator("#teach-labelling-notice")
    expect(notice).to_contain_text("Not saved: The server cannot be reached.")
    page.context.set_offline(False)
    page.locator("#teach-classes").get_by_role("button", name="day").click()
    expect(page.locator("#teach-nothing")).to_be_visible()
    expect_labels(client, "offline", ["day"])


def test_classes_are_renamed_and_datasets_removed(page: Page, client: httpx.Client) -> None:
    dataset_of(client, "renamed", drawn("day", 50))
    page.reload()
    choose(page, "renamed")
    page.get_by_role("button", name="Classes").click()
    page.get_by_label("Class 2, key 2").fill("dusk")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#teach-classes")).to_contain_text("dusk")
    classes = client.get("/v1/datasets/renamed").json()["classes"]
    assert [one["name"] for one in classes] == ["day", "dusk"]
    page.get_by_role("button", name="Remove", exact=True).click()
    page.locator("#remove-dataset").click()
    expect(page.locator("#teach-dataset option", has_text="renamed")).to_have_count(0)
    assert client.get("/v1/datasets/renamed").status_code == 404


def test_account_without_the_scope_sees_no_teaching(browser: Browser, server: LiveServer) -> None:
    person = add_person(server)
    with visit(browser, server.url) as visited:
        visited.page.goto(f"{server.url}/#teach")
        visited.sign_in(person.name, person.password)
        expect(visited.page.locator("#tabs-notice")).to_contain_text("the scope teach")
        expect(visited.page.get_by_role("tab", name="Teach")).to_be_hidden()
        visited.show(drawn("day", 60))
        card = visited.card("day-60.png")
        expect(card).to_have_attribute("data-state", "done")
        expect(card.get_by_role("button", name="That was wrong")).to_be_hidden()


def test_capture_time_is_read_from_exif(page: Page) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2026:11:30 08:15:00", 0x9011: "+01:00"})
    with_time = encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif)
    without = encoded(Image.new("RGB", (8, 8)), "JPEG")
    read = """async (bytes) => {
        const { captureTime } = await import("./static/views/teach/photos/capture-time.js");
        return captureTime(new Blob([new Uint8Array(bytes)]));
    }"""
    assert page.evaluate(read, list(with_time)) == "2026-11-30T08:15:00+01:00"
    assert page.evaluate(read, list(with_time[:60])) is None
    assert page.evaluate(read, list(without)) is None
