"""Changes to sensors: checks against the model, limits, configuration, the security log."""

from __future__ import annotations

from typing import Any

import pytest

from auth.store.database import Database
from observability.logs.audit import Audit
from observability.metrics.metrics import Metrics
from schemas.errors import (
    Conflict,
    InvalidParameter,
    ModelNotFound,
    NotFound,
    ServiceError,
    Unsupported,
)
from schemas.manifest.series import SeriesSpec
from schemas.sensors import NewSensor, SensorSpec
from service.sensors.administration import SensorAdministration
from service.sensors.opening import model_check
from service.sensors.store.sensors import SensorStore
from tests.support.auth.identity_kit import Log
from tests.support.sensors.answers import SPEC

pytestmark = pytest.mark.anyio
SERIES = SeriesSpec(kind="series", name="samples", channels=3, length=8)


class Models:
    """``loudest`` takes series, ``colours`` takes images; there are no others."""

    def series_spec(self, model: str) -> SeriesSpec:
        if model == "colours":
            raise Unsupported
        if model != "loudest":
            raise ModelNotFound
        return SERIES


def administration(database: Database, most: int = 2) -> SensorAdministration:
    return SensorAdministration(
        SensorStore(database), Audit(Metrics()), model_check(Models()), most=most
    )


@pytest.fixture
def sensors(database: Database) -> SensorAdministration:
    return administration(database)


def new(name: str = "pump", **members: Any) -> NewSensor:
    return NewSensor(name=name, **{**SPEC.model_dump(), **members})


async def test_changes_are_recorded(sensors: SensorAdministration, log: Log) -> None:
    added = await sensors.add(new(), by="anna")
    assert (added.name, added.spec) == ("pump", SPEC)
    changed = await sensors.change("pump", SPEC.model_copy(update={"window": 8}), by="anna")
    assert changed.spec.window == 8
    assert (await sensors.pause("pump", is_paused=True, by="anna")).is_paused
    await sensors.remove("pump", by="anna")
    assert [(line["event"], line["sensor"], line["account"]) for line in log] == [
        ("sensor_added", "pump", "anna"),
        ("sensor_changed", "pump", "anna"),
        ("sensor_changed", "pump", "anna"),
        ("sensor_removed", "pump", "anna"),
    ]


@pytest.mark.parametrize(
    ("members", "pointers"),
    [
        ({"channels": 2}, ["/body/channels"]),
        ({"window": 16}, ["/body/window"]),
        ({"channels": 2, "window": 16}, ["/body/channels", "/body/window"]),
        ({"model": "colours"}, ["/body/model"]),
    ],
)
async def test_windows_must_fit_the_model(
    sensors: SensorAdministration, members: dict[str, Any], pointers: list[str]
) -> None:
    await sensors.add(new("yard"), by="anna")
    with pytest.raises(InvalidParameter) as refused:
        await sensors.add(new(**members), by="anna")
    assert [fault.pointer for fault in refused.value.violations] == pointers
    with pytest.raises(InvalidParameter):
        await sensors.change("yard", SPEC.model_copy(update=members), by="anna")


async def test_unknown_model_taken_name_and_full_server_are_refused(
    database: Database,
) -> None:
    sensors = administration(database, most=1)
    with pytest.raises(ModelNotFound):
        await sensors.add(new(model="none"), by="anna")
    await sensors.add(new(), by="anna")
    for name in ("pump", "yard"):
        with pytest.raises(Conflict):
            await sensors.add(new(name), by="anna")


async def test_unknown_sensor_is_not_found(sensors: SensorAdministration) -> None:
    for call in (
        sensors.get("pump"),
        sensors.change("pump", SPEC, by="anna"),
        sensors.pause("pump", is_paused=True, by="anna"),
        sensors.remove("pump", by="anna"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_sensor_of_the_configuration_is_paused_but_not_changed(
    sensors: SensorAdministration, log: Log
) -> None:
    wrong = SensorSpec(channels=1, rate=1, model="loudest")
    await sensors.configure({"pump": SPEC, "yard": wrong})
    told = [line for line in log if line["event"] == "sensor does not fit its model"]
    assert [line["sensor"] for line in told] == ["yard"]
    for call in (sensors.change("pump", SPEC, by="anna"), sensors.remove("pump", by="anna")):
        with pytest.raises(Conflict, match="configuration"):
            await call
    assert (await sensors.pause("pump", is_paused=True, by="anna")).is_paused
    await sensors.configure({})
    await sensors.remove("pump", by="anna")
    with pytest.raises(ServiceError, match="more than 2"):
        await sensors.configure({"one": SPEC, "two": SPEC})
