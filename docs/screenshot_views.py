"""Contents of the screenshots: steps on the page for each view; see ``screenshot.py``."""

# ruff: noqa: INP001 - part of a script

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, Route

PATIENCE_MS = 120_000
FIGURES_MS = 3000
"""After which the frames a second are measured."""
CAMERAS = {"crossing": "traffic-light", "fair": "balloon", "terrace": "umbrella"}
"""Names of the cameras, and what they see."""
CROP = (0.28, 0.04, 0.44, 0.92)
"""Of the first camera, as x, y, width and height."""
SENSORS = {"engine-1": (1, 1, 1), "engine-2": (1, 2, 3), "engine-3": (3, 3, 2)}
"""Names of the sensors, and the recordings that they send by turns."""
RECORDINGS = Path(__file__).parents[1] / "models/turbofan/1/golden"
CHANNELS, RATE, ROUNDS = 24, 25, 5
"""Of a recording; samples a second; how often a sensor sends its recordings."""
LEAST_WINDOWS = 8
"""Of a sensor: as many as a tile shows. One a second is kept."""
PASSENGERS = 400
TEXT = "Wo ist der Bahnhof? Potoos sind Nachtvögel, und sehen auch mit geschlossenen Augen."
MOST_TOKENS = 24
CLASSES = {"balloon": "balloon", "traffic light": "traffic-light", "umbrella": "umbrella"}
"""Of the dataset that is taught, and their drawings."""
LESSONS, MORE = (6, 10, 16), 6
"""Labelled photos of each class at each run; photos that wait for a label."""
WRONG = ("umbrella", 3)
"""A photo with another label: its class and number."""


def classify(page: Page, photos: list[Path], model: str | None) -> None:
    """Classify the photos on the page."""
    if model:
        page.locator("#model").select_option(model)
    # One at a time, so that the milliseconds are those of one photo; the newest comes first.
    for photo in reversed(photos):
        page.locator("#files").set_input_files(photo)
        page.locator("#summary").wait_for(timeout=PATIENCE_MS)
    page.locator(".card canvas").nth(len(photos) - 1).wait_for(timeout=PATIENCE_MS)


def look(page: Page, model: str | None) -> None:
    """Classify the frames of the device's camera."""
    page.get_by_role("tab", name="Live").click()
    if model:
        page.locator("#live-model").select_option(model)
    page.get_by_role("button", name="Start the camera").click()
    page.locator("#live-verdict .score").wait_for(timeout=PATIENCE_MS)
    page.wait_for_timeout(FIGURES_MS)


def watch(page: Page, urls: list[str], model: str | None) -> None:
    """Adds cameras with these addresses, the first one with a crop."""
    page.route("**/v1/cameras/*/events*", tell_a_day)
    page.get_by_role("tab", name="Cameras").click()
    for name, url in zip(CAMERAS, urls, strict=True):
        page.get_by_role("button", name="Add a camera").click()
        page.locator("#camera-form [name=name]").fill(name)
        page.locator("#camera-form [name=url]").fill(url)
        if model:
            page.locator("#camera-form [name=model]").select_option(model)
        page.get_by_role("button", name="Look").click()
        picture = page.locator("#camera-picture")
        picture.wait_for(timeout=PATIENCE_MS)
        if url == urls[0]:
            box = picture.bounding_box()
            assert box is not None  # noqa: S101 - it is visible
            x, y, width, height = CROP
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.mouse.down()
            page.mouse.move(
                box["x"] + (x + width) * box["width"], box["y"] + (y + height) * box["height"]
            )
            page.mouse.up()
        page.get_by_role("button", name="Save").click()
    for place in range(len(urls)):
        tile = page.locator(".camera").nth(place)
        tile.get_by_text(re.compile("^since ")).wait_for(timeout=PATIENCE_MS)
        tile.locator("canvas").wait_for(timeout=PATIENCE_MS)


def tell_a_day(route: Route) -> None:
    """Answers with made-up events of the first camera or sensor."""
    of_sensor = "/v1/sensors/" in route.request.url
    first = next(iter(SENSORS if of_sensor else CAMERAS))
    usual, other = ("healthy", "worn") if of_sensor else ("traffic light", "street sign")
    now = datetime.now(UTC)
    states = [usual, "unknown", usual, other] * 2 + [usual]
    events = [
        {
            "id": place + 1,
            "sensor" if of_sensor else "camera": first,
            "kind": "state",
            "at": (now - timedelta(hours=hours)).isoformat(),
            "state": state,
            "previous": states[place - 1],
        }
        for place, (hours, state) in enumerate(
            zip((24, 19, 17.5, 13, 12.4, 9, 7, 4, 3.5), states, strict=True)
        )
    ]
    is_first = f"/{first}/" in route.request.url and "after" not in route.request.url
    if of_sensor and not is_first:
        route.continue_()
    else:
        route.fulfill(body=json.dumps({"events": events if is_first else []}))


def listen(page: Page, token: str, port: int, folder: Path) -> None:
    """Adds sensors, and sends recordings as their devices do."""
    page.route("**/v1/sensors/*/events*", tell_a_day)
    page.get_by_role("tab", name="Sensors").click()
    for name in SENSORS:
        page.get_by_role("button", name="Add a sensor").click()
        page.locator("#sensor-form [name=name]").fill(name)
        page.locator("#sensor-form [name=channels]").fill(str(CHANNELS))
        page.locator("#sensor-form [name=rate]").fill(str(RATE))
        page.get_by_role("button", name="Save").click()
        page.locator("#sensor-dialogue").wait_for(state="hidden")
    with ExitStack() as stack:
        for name, order in SENSORS.items():
            file = folder / f"{name}.npy"
            walks = [np.load(RECORDINGS / f"walk-{number}.npy") for number in order * ROUNDS]
            np.save(file, np.concatenate(walks))
            command = [*("sensors", "simulate", str(file), "--name", name, "--rate", str(RATE))]
            command += ["--server", f"tcp://127.0.0.1:{port}", "--token", token]
            stack.enter_context(
                subprocess.Popen([sys.executable, "-m", "service", *command])  # noqa: S603
            )
        for place in range(len(SENSORS)):  # while they send: the page asks for windows
            tile = page.locator(".sensor").nth(place)
            tile.locator(".window").nth(LEAST_WINDOWS - 1).wait_for(timeout=PATIENCE_MS)
            tile.locator(".bars li").wait_for(timeout=PATIENCE_MS)


def prepare(page: Page, photo: Path) -> None:
    """Shows what models are fed: a photo, numbers by a scaler, a text."""
    page.get_by_role("tab", name="Prepare").click()
    page.locator("#prepare-file").set_input_files(photo)
    page.get_by_text("Prepared: ").wait_for(timeout=PATIENCE_MS)
    page.get_by_label("Rows as CSV").fill(passengers())
    page.get_by_label("Scaling").select_option("passengers 1")
    page.get_by_role("button", name="Scale", exact=True).click()
    page.get_by_label("Column").select_option("fare")
    page.locator("#prepare-words").fill(TEXT)
    page.get_by_label("Tokens at most").fill(str(MOST_TOKENS))
    page.get_by_role("button", name="Cut into tokens").click()
    page.locator(".tokens li").first.wait_for(timeout=PATIENCE_MS)


def teach(page: Page, examples: Path, folder: Path) -> None:
    """Teaches a model from drawings, whose folders are named as their classes."""
    page.get_by_role("tab", name="Teach").click()
    page.get_by_role("button", name="Name a dataset").click()
    page.locator("#dataset-form [name=name]").fill("found")
    for place, name in enumerate(CLASSES, 1):
        page.get_by_label(f"Class {place},").fill(name)
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Save", exact=True).click()
    done = 0
    for lesson in LESSONS:
        part = folder / str(lesson)
        for name in CLASSES:
            for number in range(done, lesson):
                wrong = next(one for one in CLASSES if one != name)
                label = wrong if (name, number) == WRONG else name
                draw(page, examples, name, part / label / f"{name}-{number}.png")
        page.locator("#teach-folder-files").set_input_files(part)
        done = lesson
        count = done * len(CLASSES)
        page.get_by_text(f"Taught from {count} photos.").wait_for(timeout=PATIENCE_MS)
    for number in range(done, done + MORE):
        name = list(CLASSES)[number % len(CLASSES)]
        draw(page, examples, name, folder / "more" / f"{number}.png")
    page.locator("#teach-files").set_input_files(sorted((folder / "more").iterdir()))
    page.locator("#teach-added", has_text=f"{MORE} photos added.").wait_for(timeout=PATIENCE_MS)
    page.locator("#teach-photo[aria-busy=false]").wait_for(timeout=PATIENCE_MS)
    page.locator("#teach-promote:visible").click()
    page.locator("#teach-promote").wait_for(state="hidden", timeout=PATIENCE_MS)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_load_state("networkidle")


def draw(page: Page, examples: Path, name: str, file: Path) -> None:
    """Saves a drawing somewhere on a ground of some colour."""
    chance = random.Random(str(file.name))  # noqa: S311 - made-up pictures
    ground, turn = chance.randrange(360), chance.randrange(-40, 40)
    x, y, height = chance.randrange(-20, 20), chance.randrange(-12, 12), chance.randrange(60, 130)
    style = (
        f"body {{ margin: 0; height: 100vh; overflow: hidden; background: hsl({ground} 25% 70%); }}"
        f"svg {{ display: block; margin: auto; height: {height}vh;"
        f"transform: translate({x}vw, {y}vh) rotate({turn}deg); }}"
    )
    browser = page.context.browser
    assert browser is not None  # noqa: S101 - the context was made by one
    with browser.new_page(viewport={"width": 640, "height": 480}) as sheet:
        sheet.set_content(
            f"<style>{style}</style>{(examples / f'{CLASSES[name]}.svg').read_text()}"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.screenshot(path=file)


def passengers() -> str:
    """CSV of made-up ages and fares; some are missing."""
    chance = random.Random(0)  # noqa: S311 - made-up numbers
    rows = ["age,fare"]
    for _ in range(PASSENGERS):
        age = round(chance.triangular(0, 80, 28), 1) if chance.random() < 0.9 else ""
        rows.append(f"{age},{chance.lognormvariate(3, 0.5):.2f}")
    return "\n".join(rows) + "\n"
