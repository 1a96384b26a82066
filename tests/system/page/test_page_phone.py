"""The QR code that opens the page on a phone, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.servers.browser import ARGUMENTS, open_browser, visit
from tests.support.servers.server import LiveServer

pytestmark = pytest.mark.slow

# As ZXing reads it: "http://192.168.1.20:8000/".
CODE = [
    "#######....###..#.#######",
    "#.....#..##..#....#.....#",
    "#.###.#.....#...#.#.###.#",
    "#.###.#.#...#####.#.###.#",
    "#.###.#.##....#...#.###.#",
    "#.....#....##...#.#.....#",
    "#######.#.#.#.#.#.#######",
    "..........##.............",
    "##...###.#.#.#.##...##...",
    "####.#.###..##.###..####.",
    ".#.#..#...#..#.#..##.#.##",
    "..##.#...#..#..##...##..#",
    "#.....##.#.##.#.###.....#",
    "#.#.##..#....###.......#.",
    "#.###.###..##..#.#.#.#.##",
    "#.###...####..#.#...#.#.#",
    "#.#..##..#####..#####.#..",
    "........###.#.###...#.#..",
    "#######.#.##.##.#.#.##..#",
    "#.....#.#..#....#...#..##",
    "#.###.#....###.########..",
    "#.###.#....##.....##.#.##",
    "#.###.#..##.#....#....#.#",
    "#.....#.#.#.#..##.###...#",
    "#######.#.##..###.#..#..#",
]
ADVICE = "The address of this page holds on this machine only."
DRAWN = """async (text) => {
    const { qrCode } = await import(new URL("static/views/phone/qr.js", document.baseURI));
    return qrCode(text)?.map((row) => row.map((isDark) => (isDark ? "#" : ".")).join("")) ?? null;
}"""

MIDDLE_OF_TEXT = """(element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const { top, bottom } = range.getBoundingClientRect();
    return (top + bottom) / 2;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium that resolves a name to the server, like a machine in a LAN."""
    with open_browser([*ARGUMENTS, "--host-resolver-rules=MAP potoo.test 127.0.0.1"]) as chromium:
        yield chromium


def test_code_is_that_of_the_standard(browser: Browser, server: LiveServer) -> None:
    with visit(browser, server.url) as page:
        assert page.page.evaluate(DRAWN, "http://192.168.1.20:8000/") == CODE
        assert len(page.page.evaluate(DRAWN, "a" * 106)) == 37
        assert page.page.evaluate(DRAWN, "a" * 107) is None


def test_page_opened_by_name_shows_the_code_of_its_address(
    browser: Browser, server: LiveServer
) -> None:
    url = server.url.replace("127.0.0.1", "potoo.test")
    with visit(browser, url) as page:
        page.page.get_by_role("button", name="Open on a phone").click()
        expect(page.page.get_by_role("img", name=f"QR code of {url}/")).to_be_visible()
        expect(page.page.locator("#phone-address")).to_have_text(f"{url}/")
        expect(page.page.get_by_text(ADVICE)).to_be_hidden()
        page.page.get_by_role("button", name="Close").click()
        expect(page.page.get_by_role("dialog")).to_be_hidden()


def test_page_opened_on_the_machine_itself_says_what_to_do(
    browser: Browser, server: LiveServer
) -> None:
    with visit(browser, server.url) as page:
        page.page.get_by_role("button", name="Open on a phone").click()
        expect(page.page.get_by_text(ADVICE)).to_be_visible()
        expect(page.page.locator("#phone-code svg")).to_have_count(0)


def test_links_of_the_footer_are_in_line(browser: Browser, server: LiveServer) -> None:
    with visit(browser, server.url) as page:
        footer = page.page.get_by_role("navigation", name="More")
        places = [footer.get_by_role("button"), *footer.get_by_role("link").all()]
        middles = [place.evaluate(MIDDLE_OF_TEXT) for place in places]
        assert len(middles) == 4
        assert max(middles) - min(middles) < 2
