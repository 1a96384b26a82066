"""Takes the screenshots of the web page: ``python docs/screenshot.py --out docs/images/page.png``.

It starts a server of its own, which builds the models that come with Potoo, follows the sign-in
link that this prints, shows it a few photos and takes the picture at half as much again as its
size, in 256 colours. It needs Chromium and the test tools, which ``make unit`` installs.

``--view live`` and ``--view cameras`` show the drawings of ``service/web/examples`` to a fake
camera, and to cameras on this machine; the timeline of the latter is made up.

The photos come with scikit-image, in its installed package; its documentation (``skimage.data``)
names their authors and says that they are free:

* ``coffee.png``: by Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0
* ``chelsea.png``: by Stefan van der Walt; CC0
* ``camera.png``: by Lav Varshney; CC0
* ``rocket.jpg``: by SpaceX; public domain
* ``clock_motion.png``: by Stefan van der Walt; public domain
* ``hubble_deep_field.jpg``: by NASA; public domain
"""

# ruff: noqa: INP001 - a script of its own, no package

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, Playwright, Route, sync_playwright

PHOTOS = (
    *("coffee.png", "chelsea.png", "rocket.jpg"),
    *("camera.png", "clock_motion.png", "hubble_deep_field.jpg"),
)
SIZES = {"desktop": (1200, 1000), "phone": (390, 844)}
CHROMIUM = "/usr/bin/chromium"
SIGN_IN_LINK = re.compile(r"http://\S+/#link=\S+")
PATIENCE_MS = 120_000
FIGURES_MS = 3000
"""After which the frames a second are measured."""
DRAWN = (
    "body { margin: 0; background: #b8c1c8; } svg { display: block; margin: auto; height: 720px; }"
)
EXAMPLES = Path(__file__).parents[1] / "service/web/examples"
CAMERAS = {"crossing": "traffic-light", "fair": "balloon", "terrace": "umbrella"}
"""Names of the cameras, and what they see."""
CROP = (0.28, 0.04, 0.44, 0.92)
"""Of the first camera, as x, y, width and height."""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--models", type=Path, help="model repository; built-in models if absent")
    parser.add_argument("--model", help="which of its models; the default one if absent")
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--size", choices=list(SIZES), default="desktop")
    parser.add_argument(
        "--photos", nargs="+", default=PHOTOS, help="names in skimage/data, or absolute paths"
    )
    parser.add_argument("--view", choices=["photos", "live", "cameras"], default="photos")
    parser.add_argument("--chromium", default=CHROMIUM, help="the browser's program")
    given = parser.parse_args()
    photos = [photo_folder() / name for name in given.photos]
    width, height = SIZES[given.size]
    arguments = ["--no-sandbox", "--disable-gpu"]
    with ExitStack() as stack:
        link = stack.enter_context(sign_in_link(given.models))
        playwright = stack.enter_context(sync_playwright())
        pictures = drawings(playwright, given.chromium)
        if given.view == "live":
            film = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "film.mjpeg"
            film.write_bytes(pictures[-1])
            arguments += [
                *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
                f"--use-file-for-fake-video-capture={film}",
            ]
        browser = playwright.chromium.launch(executable_path=given.chromium, args=arguments)
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=1.5,
            color_scheme=given.scheme,
            has_touch=given.size == "phone",
        )
        page.goto(link)
        page.locator("#workspace").wait_for()
        if given.view == "photos":
            classify(page, photos, given.model)
        elif given.view == "live":
            look(page, given.model)
        else:
            urls = [stack.enter_context(camera(picture)) for picture in pictures]
            watch(page, urls, given.model)
        save(page, given.out)
        browser.close()


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
    """Answers with made-up events of a camera: one state by day, another one in between."""
    now, first = datetime.now(UTC), next(iter(CAMERAS))
    states = ["traffic light", "unknown", "traffic light", "street sign"] * 2 + ["traffic light"]
    events = [
        {
            "id": place + 1,
            "camera": first,
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
    route.fulfill(body=json.dumps({"events": events if is_first else []}))


def save(page: Page, out: Path) -> None:
    """Saves how the page looks."""
    page.mouse.move(0, 0)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    picture.convert("RGB").quantize(256).save(out, optimize=True)


@contextmanager
def sign_in_link(models: Path | None) -> Iterator[str]:
    """A running server's link, which signs in without a password."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "service", "serve", "--port", "0", "--data-dir", folder]
        if models:
            command += ["--models", str(models)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
            try:
                yield _link_of(server)
            finally:
                server.terminate()


def _link_of(server: subprocess.Popen[str]) -> str:
    for line in server.stdout or ():
        if found := SIGN_IN_LINK.search(line):
            return found[0]
    sys.exit("the server did not start")


def drawings(playwright: Playwright, chromium: str) -> list[bytes]:
    """Pictures of the cameras, as JPEG."""
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    pictures = []
    for name in CAMERAS.values():
        drawing = (EXAMPLES / f"{name}.svg").read_text()
        page.set_content(f"<style>{DRAWN}</style>{drawing}")
        pictures.append(page.screenshot(type="jpeg", quality=90))
    browser.close()
    return pictures


@contextmanager
def camera(picture: bytes) -> Iterator[str]:
    """The address of a camera on this machine that shows one picture."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "image/jpeg")
            self.send_header("content-length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_: object) -> None:
            """Keep the terminal clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/snapshot.jpg"
        server.shutdown()


def photo_folder() -> Path:
    """Where the installed scikit-image keeps the photos that came with it."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("scikit-image is not installed")
    return Path(package.origin).parent / "data"


if __name__ == "__main__":
    main()
