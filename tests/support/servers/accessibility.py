"""Measures the contrast of a page's texts and the size of its controls."""

from __future__ import annotations

from playwright.sync_api import Page

LEAST_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3
LEAST_TARGET = 44  # CSS pixels; WCAG 2.2, success criterion 2.5.5
CONTRASTS = """() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([red, green, blue]) => {
        const [r, g, b] = [red, green, blue].map((channel) => {
            const share = channel / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
        throw Error("nothing behind " + element.outerHTML);
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)
            .map((node) => node.data.trim()).join(" ");
        if (!text || !element.checkVisibility()) continue;
        const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(light);
        found.push([text, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)]);
    }
    return found;
}"""


def contrasts_of(page: Page) -> list[tuple[str, float]]:
    """Texts that are shown, each with its contrast to the colour behind it."""
    return [(text, contrast) for text, contrast in page.evaluate(CONTRASTS)]


def assert_fits(page: Page, width: int) -> None:
    """Check that a page needs no more than ``width`` CSS pixels and has controls for fingers."""
    inside, screen = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert inside <= screen == width
    for control in page.locator(":is(button, input, select):visible").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= LEAST_TARGET, control
        assert box["width"] >= LEAST_TARGET, control
