"""Takes the screenshots of the web page: ``python docs/screenshot.py --out docs/images/page.png``.

It starts a server of its own, which builds the models that come with Potoo, follows the sign-in
link that this prints, shows it a few photos and takes the picture at half as much again as its
size, in 256 colours. It needs Chromium and the test tools, which ``make unit`` installs.

``--view live`` and ``--view cameras`` show the drawings of ``service/web/examples`` to a fake
camera, and to cameras on this machine. ``--view sensors`` sends the recordings of the model
turbofan. Timelines are made up, and so are the numbers of ``--view prepare``, which shows the whole
page. ``--view teach`` teaches a model from drawings, one of them with a wrong label.

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
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, Playwright, sync_playwright
from screenshot_views import CAMERAS, classify, listen, look, passengers, prepare, teach, watch

PHOTOS = (
    *("coffee.png", "chelsea.png", "rocket.jpg"),
    *("camera.png", "clock_motion.png", "hubble_deep_field.jpg"),
)
SIZES = {"desktop": (1200, 1000), "phone": (390, 844)}
CHROMIUM = "/usr/bin/chromium"
SIGN_IN_LINK = re.compile(r"http://\S+/#link=\S+")
DRAWN = (
    "body { margin: 0; background: #b8c1c8; } svg { display: block; margin: auto; height: 720px; }"
)
EXAMPLES = Path(__file__).parents[1] / "service/web/examples"
MODELS = {
    "sensors": ["everyday", "turbofan"],
    "prepare": ["everyday", "language"],
    "teach": ["everyday"],
}
"""Views that need models of their own."""
VIEWS = ["photos", "live", "cameras", *MODELS]
WHOLE = {"prepare", "teach"}
"""Views that are higher than a screen."""


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
    parser.add_argument("--view", choices=VIEWS, default="photos")
    parser.add_argument("--chromium", default=CHROMIUM, help="the browser's program")
    given = parser.parse_args()
    photos = [photo_folder() / name for name in given.photos]
    width, height = SIZES[given.size]
    arguments = ["--no-sandbox", "--disable-gpu"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = given.models or built(folder, MODELS.get(given.view, []))
        port = free_port()
        link = stack.enter_context(sign_in_link(folder, models, port))
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
            device_scale_factor=1 if given.view in WHOLE else 1.5,
            color_scheme=given.scheme,
            has_touch=given.size == "phone",
        )
        page.goto(link)
        page.locator("#workspace").wait_for()
        if given.view == "photos":
            classify(page, photos, given.model)
        elif given.view == "live":
            look(page, given.model)
        elif given.view == "sensors":
            token = potoo("token", "--user", "admin", "--data-dir", str(folder))
            listen(page, token.strip(), port, folder)
        elif given.view == "prepare":
            prepare(page, photos[0])
        elif given.view == "teach":
            teach(page, EXAMPLES, folder / "drawings")
        else:
            urls = [stack.enter_context(camera(picture)) for picture in pictures]
            watch(page, urls, given.model)
        save(page, given.out, is_whole=given.view in WHOLE)
        browser.close()


def save(page: Page, out: Path, *, is_whole: bool) -> None:
    """Saves how the page looks."""
    page.mouse.move(0, 0)
    out.parent.mkdir(parents=True, exist_ok=True)
    shown = page.screenshot(animations="disabled", caret="hide", full_page=is_whole)
    picture = Image.open(io.BytesIO(shown))
    picture.convert("RGB").quantize(256).save(out, optimize=True)


def built(folder: Path, names: list[str]) -> Path | None:
    """A repository with built-in models and a scaler; None without names."""
    if not names:
        return None
    models, rows = folder / "shown-models", folder / "passengers.csv"
    potoo("models", "build", *names, "--models", str(models))
    rows.write_text(passengers())
    potoo("scalers", "fit", "passengers", str(rows), "--impute", "median", "--models", str(models))
    return models


def potoo(*arguments: str) -> str:
    """Runs a command, and returns what it prints."""
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def sign_in_link(folder: Path, models: Path | None, port: int) -> Iterator[str]:
    """A running server's link, which signs in without a password; ``port``: that of sensors."""
    command = [sys.executable, "-m", "service", "serve", "--port", "0", "--data-dir", str(folder)]
    if models:
        command += ["--models", str(models)]
    environment = os.environ | {"POTOO_SENSORS__TCP_PORT": str(port)}
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
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
