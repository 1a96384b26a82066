"""Group ``[sensors]``: consistent ports, sensors of the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.sensors import SensorSpec
from service.settings import SettingsError, describe_settings, load_settings

DEFINITION = "[sensors.definitions.a]\nchannels = 1\nrate = 1\nmodel = 'm'"


def test_nothing_listens_by_default() -> None:
    sensors = load_settings().sensors
    assert (sensors.tcp_port, sensors.raw, sensors.mqtt) == (None, (), False)
    assert sensors.definitions == {}


def test_sensors_and_ports_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text(
        """
        [sensors]
        tcp_port = 7700
        [[sensors.raw]]
        port = 7701
        sensor = "pump-3"
        allow = ["192.168.7.20/32"]
        [sensors.definitions.pump-3]
        channels = 1
        rate = 48000
        model = "bearings"
        gap = "hold"
        gap_samples = 8
        """
    )
    sensors = load_settings(file).sensors
    assert sensors.definitions == {
        "pump-3": SensorSpec(channels=1, rate=48000, model="bearings", gap="hold", gap_samples=8)
    }
    (raw,) = sensors.raw
    assert (raw.port, raw.sensor, [str(one) for one in raw.allow]) == (
        *(7701, "pump-3"),
        ["192.168.7.20/32"],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[sensors]\ntcp_cert = "a.pem"', "sensors: tcp_cert and tcp_key go together"),
        (
            "[sensors]\ntcp_port = 7\n[[sensors.raw]]\nport = 7\nsensor = 'a'\nallow = ['::1/128']",
            "sensors: two ports are the same",
        ),
        (
            f"[sensors]\nmax_sensors = 0\n{DEFINITION}",
            "sensors: there are more definitions than max_sensors",
        ),
        (
            "[sensors.definitions.A]\nchannels = 1\nrate = 1\nmodel = 'm'",
            "sensors.definitions.A.[key]: String should match pattern",
        ),
        (
            "[sensors.definitions.a]\nchannels = 0\nrate = 1\nmodel = 'm'",
            "sensors.definitions.a.channels: Input should be greater than or equal to 1",
        ),
        ("[[sensors.raw]]\nport = 7\nsensor = 'a'", "sensors.raw.0.allow: Field required"),
        (
            "[[sensors.raw]]\nport = 7\nsensor = 'a'\nallow = []",
            "sensors.raw.0.allow: Tuple should have at least 1 item",
        ),
    ],
)
def test_inconsistent_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    assert message in str(refused.value)


def test_every_setting_is_described_in_the_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs/sensors.md").read_text()
    names = [name for name, *_ in describe_settings(load_settings()) if name.startswith("sensors.")]
    assert [name for name in names if f"`{name}`" not in guide] == []
