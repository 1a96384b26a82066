"""The ports of sensors: reserved, and refused by name if they are taken."""

from __future__ import annotations

import socket

import pytest

from service.settings import SettingsError
from service.settings.sensors import SensorSettings
from service.transport.tcp.listening import reserved

LOOPBACK = ["127.0.0.1/32"]


def settings(tcp_port: int | None, *raw: int) -> SensorSettings:
    ports = [{"port": port, "sensor": "pump", "allow": LOOPBACK} for port in raw]
    return SensorSettings.model_validate({"tcp_port": tcp_port, "raw": ports})


def test_free_ports_are_reserved_and_named() -> None:
    with reserved("127.0.0.1", settings(0, 0)) as (found, urls):
        assert found.tcp_port
        assert found.raw[0].port
        assert urls == [
            f"tcp://127.0.0.1:{found.tcp_port}",
            f"raw://127.0.0.1:{found.raw[0].port}",
        ]


@pytest.mark.parametrize("name", ["sensors.tcp_port", "sensors.raw"])
def test_port_in_use_is_named(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = settings(port) if name == "sensors.tcp_port" else settings(None, port)
        message = rf"^{name}: cannot listen on 127.0.0.1 port {port} for sensors: .*; try {name} = "
        with pytest.raises(SettingsError, match=message), reserved("127.0.0.1", taken):
            pass
