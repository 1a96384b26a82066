"""Sensors on the web page: a device sends to a real server, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.callers.accounts import Person, add_person
from tests.support.models.tiny_model import write_model
from tests.support.sensors.loud_device import LoudDevice
from tests.support.sensors.tiny_series import LENGTH, write_series_model
from tests.support.servers.accessibility import LEAST_CONTRAST, assert_fits, contrasts_of
from tests.support.servers.browser import Visit, visit
from tests.support.servers.databases import free_port
from tests.support.servers.server import LiveServer, serve

DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 1000}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
NAME = "pump-3"
SPEC = {"name": NAME, "channels": 3, "rate": 100, "model": "loudest", "silent_after_seconds": 600}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[LiveServer]:
    """A server with a model of photos and one of windows, that listens to sensors."""
    repository = tmp_path_factory.mktemp("models")
    write_model(repository)
    write_series_model(repository)
    with serve(
        tmp_path_factory.mktemp("server"),
        models=repository,
        POTOO_SENSORS__TCP_PORT=str(port),
        POTOO_DEFAULT_MODEL="colours",
    ) as live:
        yield live


@pytest.fixture(scope="module")
def keeper(server: LiveServer) -> Person:
    """A person who may manage sensors."""
    return add_person(server, scopes=["classify", "models:read", "sensors"])


@pytest.fixture
def device(server: LiveServer, port: int) -> Iterator[LoudDevice]:
    """A device of a new sensor."""
    with server.client("sensors ingest") as client:
        client.post("/v1/sensors", json=SPEC).raise_for_status()
        token = client.headers["authorization"].removeprefix("Bearer ")
        with closing(LoudDevice(port, token, NAME)) as device:
            yield device
        client.delete(f"/v1/sensors/{NAME}")


def open_sensors(visited: Visit, person: Person) -> Page:
    visited.sign_in(person.name, person.password)
    visited.page.get_by_role("tab", name="Sensors").click()
    return visited.page


def tile_in(page: Page) -> Locator:
    heading = page.get_by_role("heading", name=NAME, exact=True)
    return page.locator(".sensor").filter(has=heading)


@pytest.mark.parametrize("profile", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_sensor_shows_its_windows_gaps_and_state(
    browser: Browser,
    server: LiveServer,
    keeper: Person,
    device: LoudDevice,
    profile: dict[str, Any],
) -> None:
    device.send(0)
    with visit(browser, server.url, reduced_motion="reduce", **profile) as visited:
        page = open_sensors(visited, keeper)
        tile = tile_in(page)
        expect(tile.locator(".verdict")).to_have_text("first")
        expect(tile.locator(".since")).to_contain_text("since ")
        expect(tile.locator(".facts")).to_contain_text("loudest 1")
        expect(tile.get_by_role("img", name="first, 100 %", exact=True)).to_be_visible()
        expect(tile.get_by_role("img", name="Last 24 hours: first once")).to_be_visible()
        device.send(2, skip=LENGTH)
        expect(tile.locator(".verdict")).to_have_text("third")
        drawn = tile.get_by_role("img", name="third, 100 %, after a gap", exact=True)
        while not drawn.is_visible():  # one window a second is kept
            device.send(2)
        expect(tile.locator(".facts")).to_contain_text(f"1 gap, {LENGTH} samples missing")
        assert_fits(page, profile["viewport"]["width"])
        contrasts = contrasts_of(page)
        tile.get_by_role("button", name=f"Pause: {NAME}").click()
        expect(tile.locator(".verdict")).to_have_text("Paused")
        tile.get_by_role("button", name=f"Receive again: {NAME}").click()
        expect(tile.locator(".verdict")).not_to_have_text("Paused")
    assert [one for one in contrasts if one[1] < LEAST_CONTRAST] == []


@pytest.mark.parametrize("profile", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_form_adds_changes_and_removes_a_sensor(
    browser: Browser, server: LiveServer, keeper: Person, profile: dict[str, Any]
) -> None:
    with visit(browser, server.url, reduced_motion="reduce", **profile) as visited:
        page = open_sensors(visited, keeper)
        page.get_by_role("button", name="Add a sensor").press("Enter")
        form = page.locator("#sensor-form")
        name, channels = form.get_by_label("Name"), form.get_by_label("Channels")
        expect(name).to_be_focused()
        expect(form.get_by_label("Model").locator("option")).to_have_text(["loudest"])
        expect(channels).to_have_value("3")
        expect(form.get_by_text(f"Takes {LENGTH} samples of 3 channels.")).to_be_visible()
        name.fill("Pump 3")
        name.press("Enter")
        expect(name).to_have_accessible_description("Small letters, digits, - and _.")
        expect(form.get_by_label("Samples a second")).to_have_accessible_description(
            "Fill this in."
        )
        expect(name).to_be_focused()
        assert_fits(page, profile["viewport"]["width"])
        contrasts = contrasts_of(page)
        name.fill(NAME)
        form.get_by_label("Samples a second").fill("100")
        channels.fill("2")
        name.press("Enter")
        expect(channels).to_have_accessible_description("The model 'loudest' takes 3.")
        expect(channels).to_be_focused()
        channels.fill("3")
        form.get_by_label("Missing samples").select_option("hold")
        form.get_by_label("Fill at most").fill("4")
        form.get_by_text("When a state changes").click()
        form.get_by_label("Windows that agree").fill("2")
        form.get_by_role("button", name="Save").click()
        expect(form.get_by_label("Windows that agree")).to_be_focused()
        form.get_by_label("of the last").fill("3")
        form.get_by_role("button", name="Save").click()
        tile = tile_in(page)
        expect(tile.locator(".verdict")).to_have_text("No samples yet")
        page.get_by_role("button", name="Add a sensor").click()
        name.fill(NAME)
        form.get_by_label("Samples a second").fill("1")
        name.press("Enter")
        expect(name).to_have_accessible_description("A sensor with this name exists already.")
        page.keyboard.press("Escape")
        tile.get_by_role("button", name=f"Change: {NAME}").click()
        expect(form.get_by_label("Fill at most")).to_have_value("4")
        expect(form.get_by_label("of the last")).to_have_value("3")
        form.get_by_label("Missing samples").select_option("drop")
        form.get_by_label("Samples a second").fill("0.5")
        form.get_by_role("button", name="Save").click()
        expect(form).to_be_hidden()
        with server.client("sensors") as client:
            spec = client.get(f"/v1/sensors/{NAME}").json()["spec"]
        assert (spec["rate"], spec["gap"], spec["gap_samples"]) == (0.5, "drop", 0)
        assert (spec["agree"], spec["of"], spec["window"]) == (2, 3, None)
        tile.get_by_role("button", name=f"Remove: {NAME}").click()
        expect(page.get_by_role("button", name="Keep")).to_be_focused()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(tile).to_be_hidden()
        expect(page.get_by_role("button", name="Add a sensor")).to_be_focused()
    assert [one for one in contrasts if one[1] < LEAST_CONTRAST] == []


def test_sensor_of_the_configuration_is_not_changed_here(
    browser: Browser, server: LiveServer, keeper: Person, device: LoudDevice
) -> None:
    device.send(0)
    with visit(browser, server.url, **DESKTOP) as visited:
        visited.page.route("**/v1/sensors", as_configured)
        tile = tile_in(open_sensors(visited, keeper))
        expect(tile.get_by_text("Defined in the server's configuration")).to_be_visible()
        expect(tile.get_by_role("button")).to_have_text(["Pause"])


def as_configured(route: Route) -> None:
    """Answer as if the server's configuration defined the sensors."""
    answer = route.fetch()
    sensors = [one | {"is_configured": True} for one in answer.json()["sensors"]]
    route.fulfill(response=answer, json={"sensors": sensors})


def test_empty_tab_says_how_to_add_a_sensor(
    browser: Browser, server: LiveServer, keeper: Person
) -> None:
    with visit(browser, server.url, **DESKTOP) as visited:
        page = open_sensors(visited, keeper)
        expect(page.get_by_text("potoo sensors add pump-3")).to_be_visible()
        assert_fits(page, DESKTOP["viewport"]["width"])


def test_account_without_the_scope_has_no_tab(browser: Browser, server: LiveServer) -> None:
    person = add_person(server)
    with visit(browser, server.url, **DESKTOP) as visited:
        visited.sign_in(person.name, person.password)
        expect(visited.page.get_by_role("tab", name="Photos")).to_be_visible()
        expect(visited.page.get_by_role("tab", name="Sensors")).to_be_hidden()
