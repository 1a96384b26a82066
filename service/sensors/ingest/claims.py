"""Sensors and epochs as the intake finds them in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from auth.principal import Principal
from schemas.errors import ModelForbidden, NotFound, NotReady
from service.sensors.ingest.models import Models
from service.sensors.ingest.ports import SensorStore
from service.sensors.records import Claim, ClaimedEpoch, Entry, StoredSensor
from service.sensors.windows.samples import Cut

UNNUMBERED_SECONDS = 10.0
"""A device without an epoch may follow another one after so long: it cannot say that it is the
same."""


class Claims:
    """Looks sensors up, and claims their epochs."""

    def __init__(
        self,
        store: SensorStore,
        models: Models,
        sensors: Callable[[], Mapping[str, StoredSensor]],
        *,
        idle_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """``sensors``: as they were a second ago. ``clock``: seconds since the epoch."""
        self._store, self._models, self._sensors = store, models, sensors
        self._idle_seconds, self._clock = idle_seconds, clock

    def idle_seconds(self, epoch: int | None) -> float:
        """Return after how long without samples another device may send this epoch."""
        return min(self._idle_seconds, UNNUMBERED_SECONDS) if epoch is None else self._idle_seconds

    async def sensor(self, name: str, principal: Principal | None) -> tuple[StoredSensor, Cut]:
        """Return a sensor, as it was a second ago at most, and how its samples are cut.

        Raises: see ``Intake.open``.
        """
        stored = self._sensors().get(name)
        if stored is None or stored.is_paused:
            stored = await self._store.get(name)
        if stored is None:
            raise NotFound("There is no sensor with this name.")
        return stored, self.cut_of(stored, principal)

    def cut_of(self, stored: StoredSensor, principal: Principal | None) -> Cut:
        """Return how the samples of a sensor are cut; see ``Intake.open`` for what is raised."""
        if principal is not None and not principal.may_use(stored.spec.model):
            raise ModelForbidden
        if stored.is_paused:
            raise NotReady("The sensor is paused.", retry_after=30)
        return Cut.of(stored.spec, self._models.length_of(stored.spec))

    async def claim(
        self, stored: StoredSensor, epoch: int | None, owner: str, former: str | None
    ) -> ClaimedEpoch:
        """Make a channel the owner of an epoch; see ``SensorStore.claim``."""
        now = self._clock()
        live_after = now - self.idle_seconds(epoch)
        recent = stored.spec.of - 1
        claim = Claim(stored.name, epoch, owner, now, live_after, recent, former)
        return await self._store.claim(claim)

    async def release(self, claimed: ClaimedEpoch, owner: str) -> None:
        """Give back an epoch that no channel uses."""
        seen = claimed.sensor.seen or self._clock()
        name, epoch, safe = claimed.sensor.name, claimed.epoch, claimed.safe
        with suppress(NotReady):  # it is free when it is idle
            await self._store.commit([Entry(name, epoch, owner, safe, seen, is_last=True)])
