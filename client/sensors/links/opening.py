"""Choose the connection by the address."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from client.sensors.links.address import Address
from client.sensors.links.ports import Link
from client.sensors.links.tcp import open_tcp

OpenLink = Callable[[str, int], AbstractAsyncContextManager[Link]]
"""Connects for a sensor and an epoch; raises ``Disconnected``. Closes on exit."""


def link_opener(address: Address, tls: ssl.SSLContext | None) -> OpenLink:
    """Return the function that connects.

    Raises:
        ValueError: MQTT needs the package paho-mqtt (``potoo[mqtt]``).
    """
    if not address.is_mqtt:
        return lambda _, __: open_tcp(address, tls)
    try:
        from client.sensors.links.mqtt import open_mqtt
    except ModuleNotFoundError as error:
        raise ValueError("mqtt:// needs the package paho-mqtt: pip install potoo[mqtt]") from error

    return lambda name, epoch: open_mqtt(address, tls, name, epoch)
