"""Send the samples of a sensor to Potoo, at least once; see ``docs/sensors-devices.md``."""

from client.sensors.backoff import Backoff
from client.sensors.blocking import BlockingSensorClient
from client.sensors.client import SensorClient
from client.sensors.errors import (
    ClientClosed,
    Disconnected,
    NameInUse,
    NotAuthorized,
    QueueError,
    QueueInUse,
    QueueMismatch,
    QueueWriteFailed,
    Refused,
    SensorClientError,
    StaleEpoch,
    TokenUnavailable,
    UnknownSensor,
)
from client.sensors.status import Status
from client.sensors.stream import Timing
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorAnswer

__all__ = [
    "Backoff",
    "BlockingSensorClient",
    "ClientClosed",
    "Disconnected",
    "NameInUse",
    "NotAuthorized",
    "Packing",
    "QueueError",
    "QueueInUse",
    "QueueMismatch",
    "QueueWriteFailed",
    "Refused",
    "SensorAnswer",
    "SensorClient",
    "SensorClientError",
    "StaleEpoch",
    "Status",
    "Timing",
    "TokenUnavailable",
    "UnknownSensor",
]
