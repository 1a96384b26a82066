"""The parts of sensors that commands use: no receiving, and no models in memory."""

from __future__ import annotations

from dataclasses import dataclass

from auth.store.database import Database
from observability.logs.audit import Audit
from schemas.errors import InvalidParameter, ModelNotFound, NotFound, Unsupported
from schemas.sensors import Sensor, SensorSpec
from service.core.repository.repository import ModelRefused, NoSuchModel, Repository
from service.core.repository.version_files import read_manifest
from service.sensors.administration import Check, SensorAdministration
from service.sensors.directory import Directory
from service.sensors.fitting import check_fit, unfit
from service.sensors.opening import event_store, result_store
from service.sensors.store.events import EventStore
from service.sensors.store.reports import ReportStore
from service.sensors.store.results import ResultStore
from service.sensors.store.sensors import SensorStore
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class SensorCommands:
    """Sensors of a store whose samples a server may be receiving."""

    administration: SensorAdministration
    directory: Directory
    events: EventStore
    results: ResultStore

    async def get(self, name: str) -> Sensor:
        """Return a sensor.

        Raises:
            NotFound: there is none.
        """
        found = await self.directory.get(name)
        if found is None:
            raise NotFound("There is no sensor with this name.")
        return found


def sensor_commands(settings: Settings, database: Database, audit: Audit) -> SensorCommands:
    """Build the parts on an open store."""
    sensors, results = SensorStore(database), result_store(settings, database)
    check = manifest_check(Repository(settings.models))
    return SensorCommands(
        SensorAdministration(sensors, audit, check, most=settings.sensors.max_sensors),
        Directory(sensors, results, ReportStore(database)),
        event_store(settings, database),
        results,
    )


def manifest_check(repository: Repository) -> Check:
    """Return a check of configurations against the manifests of a repository.

    Which version answers is the server's matter: it is enough that one version fits.
    """

    def check(spec: SensorSpec) -> None:
        try:
            folders = list(repository.versions(spec.model).values())[::-1]
        except NoSuchModel:
            raise ModelNotFound(f"There is no model '{spec.model}'.") from None
        refusals: list[InvalidParameter] = []
        for folder in folders:
            try:
                manifest = read_manifest(folder)
            except ModelRefused:
                continue  # the server refuses it too
            try:
                manifest.require_labels()
                check_fit(spec, manifest.series_input)
            except Unsupported as reason:
                refusals.append(unfit(spec.model, reason))
            except InvalidParameter as refusal:
                refusals.append(refusal)
            else:
                return
        if refusals:
            raise refusals[0]

    return check
