"""Changes to sensors, for HTTP and the command line; all are recorded in the security log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from observability.logs.audit import Audit, AuditEvent
from observability.logs.logging import get_logger
from schemas.errors import CallerError, Conflict, NotFound, NotReady, ServiceError
from schemas.sensors import NewSensor, SensorSpec
from service.coordination.subjects import NameTaken, TooMany
from service.sensors.records import StoredSensor
from service.sensors.store.sensors import SensorStore

Check = Callable[[SensorSpec], None]
"""Checks that the model exists and takes the sensor's windows.

Raises ``ModelNotFound``, ``InvalidParameter`` or ``NotReady``.
"""
CONFIGURATION = "configuration"
"""The acting account of sensors that the configuration defines."""


class SensorAdministration:
    """Administration of sensors. Every method raises ``NotReady`` if the store does not answer.

    ``by``: the acting account, for the security log.
    """

    def __init__(
        self,
        sensors: SensorStore,
        audit: Audit,
        check: Check,
        *,
        most: int,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """``most``: number of sensors allowed. ``on_change``: called after every change."""
        self._sensors, self._audit, self._check = sensors, audit, check
        self._most, self._on_change = most, on_change

    async def get(self, name: str) -> StoredSensor:
        """Return one sensor.

        Raises:
            NotFound: there is no such sensor.
        """
        return await self._sensors.get(name) or _missing()

    async def add(self, new: NewSensor, *, by: str) -> StoredSensor:
        """Add a sensor.

        Raises:
            ModelNotFound, InvalidParameter, NotReady: see ``Check``.
            Conflict: the name is taken, or there are too many sensors.
        """
        spec = SensorSpec.model_validate(new.model_dump(exclude={"name"}))
        self._check(spec)
        try:
            added = await self._sensors.add(new.name, spec, most=self._most)
        except NameTaken:
            raise Conflict("A sensor with this name exists already.") from None
        except TooMany:
            message = f"There are {self._most} sensors, as many as the server may have."
            raise Conflict(message) from None
        self._record(AuditEvent.SENSOR_ADDED, new.name, by, model=spec.model)
        return added

    async def change(self, name: str, spec: SensorSpec, *, by: str) -> StoredSensor:
        """Replace a sensor's configuration. Devices that send are disconnected and come back.

        Raises:
            ModelNotFound, InvalidParameter, NotReady: see ``Check``.
            Conflict: the configuration of the server defines the sensor.
            NotFound: there is no such sensor.
        """
        await self._require_changeable(name)
        self._check(spec)
        if not await self._sensors.change(name, spec):
            _missing()
        self._record(AuditEvent.SENSOR_CHANGED, name, by, model=spec.model)
        return await self.get(name)

    async def pause(self, name: str, *, is_paused: bool, by: str) -> StoredSensor:
        """Pause or resume a sensor, also one of the configuration.

        Raises:
            NotFound: there is no such sensor.
        """
        if not await self._sensors.pause(name, is_paused=is_paused):
            _missing()
        self._record(AuditEvent.SENSOR_CHANGED, name, by, is_paused=is_paused)
        return await self.get(name)

    async def remove(self, name: str, *, by: str) -> None:
        """Remove a sensor, its results and its events.

        Raises:
            Conflict: the configuration of the server defines the sensor.
            NotFound: there is no such sensor.
        """
        await self._require_changeable(name)
        if not await self._sensors.remove(name):
            _missing()
        self._record(AuditEvent.SENSOR_REMOVED, name, by)

    async def configure(self, definitions: Mapping[str, SensorSpec]) -> None:
        """Add and change the sensors of the setting ``sensors.definitions``.

        A model that is missing or takes another shape is logged: it may be added later.

        Raises:
            Conflict: there would be more sensors than allowed.
        """
        try:
            changed = await self._sensors.configure(definitions, most=self._most)
        except TooMany:
            message = f"sensors.definitions: there would be more than {self._most} sensors."
            raise Conflict(message) from None
        for name in changed:
            model = definitions[name].model
            self._record(AuditEvent.SENSOR_CHANGED, name, CONFIGURATION, model=model)
        for name, spec in definitions.items():
            try:
                self._check(spec)
            except (CallerError, NotReady) as error:
                get_logger("sensors").warning(
                    "sensor does not fit its model", sensor=name, reason=_told(error)
                )

    async def _require_changeable(self, name: str) -> None:
        if (await self.get(name)).is_configured:
            message = "The configuration of the server defines this sensor: change it there."
            raise Conflict(message)

    def _record(self, event: AuditEvent, name: str, by: str, **facts: object) -> None:
        self._audit.record(event, account=by, sensor=name, **facts)
        self._on_change()


def _told(error: ServiceError) -> str:
    if error.violations:
        return "; ".join(fault.detail for fault in error.violations)
    return str(error)


def _missing() -> NoReturn:
    raise NotFound("There is no sensor with this name.")
