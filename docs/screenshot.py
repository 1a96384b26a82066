"""Takes the screenshot of the web page: ``python docs/screenshot.py --out docs/images/page.png``.

It starts a server of its own, which builds the models that come with Potoo, follows the sign-in
link that this prints, shows it a few photos and takes the picture at half as much again as its
size, in 256 colours. It needs Chromium and the test tools, which ``make unit`` installs.

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
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PHOTOS = (
    *("coffee.png", "chelsea.png", "rocket.jpg"),
    *("camera.png", "clock_motion.png", "hubble_deep_field.jpg"),
)
SIZES = {"desktop": (1200, 1000), "phone": (390, 844)}
CHROMIUM = "/usr/bin/chromium"
SIGN_IN_LINK = re.compile(r"http://\S+/#link=\S+")
PATIENCE_MS = 120_000


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
    parser.add_argument("--chromium", default=CHROMIUM, help="the browser's program")
    given = parser.parse_args()
    photos = [photo_folder() / name for name in given.photos]
    width, height = SIZES[given.size]
    with sign_in_link(given.models) as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=1.5,
            color_scheme=given.scheme,
            has_touch=given.size == "phone",
        )
        page.goto(link)
        take(page, photos, given.model, given.out)
        browser.close()


def take(page: Page, photos: list[Path], model: str | None, out: Path) -> None:
    """Has the photos classified on the page and saves how it looks."""
    page.locator("#workspace").wait_for()
    if model:
        page.locator("#model").select_option(model)
    # One at a time, so that the milliseconds are those of one photo; the newest comes first.
    for photo in reversed(photos):
        page.locator("#files").set_input_files(photo)
        page.locator("#summary").wait_for(timeout=PATIENCE_MS)
    page.locator(".card canvas").nth(len(photos) - 1).wait_for(timeout=PATIENCE_MS)
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


def photo_folder() -> Path:
    """Where the installed scikit-image keeps the photos that came with it."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("scikit-image is not installed")
    return Path(package.origin).parent / "data"


if __name__ == "__main__":
    main()
