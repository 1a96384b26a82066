"""The ports of sensors: reserved before models are loaded, and shared by worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from service.settings.sensors import SensorSettings
from service.transport import listening

FRAMED_SETTING = "sensors.tcp_port"
RAW_SETTING = "sensors.raw"
PURPOSE = " for sensors"


@contextmanager
def reserved(host: str, settings: SensorSettings) -> Iterator[tuple[SensorSettings, list[str]]]:
    """Reserve the ports for the servers that this process starts.

    Yields the settings with the numbers of the ports, and a URL for each: ``tcp://`` or ``tls://``
    for frames, ``raw://`` for plain numbers.

    Raises:
        SettingsError: a port is taken, or the host is no address of this machine.
    """
    shown, urls = f"[{host}]" if ":" in host else host, []
    with ExitStack() as stack:
        changes: dict[str, object] = {}
        if settings.tcp_port is not None:
            port = stack.enter_context(
                listening.reserved(FRAMED_SETTING, host, settings.tcp_port, PURPOSE)
            )
            changes["tcp_port"] = port
            urls.append(f"{'tls' if settings.tcp_cert else 'tcp'}://{shown}:{port}")
        raw = []
        for one in settings.raw:
            port = stack.enter_context(listening.reserved(RAW_SETTING, host, one.port, PURPOSE))
            raw.append(one.model_copy(update={"port": port}))
            urls.append(f"raw://{shown}:{port}")
        yield settings.model_copy(update={**changes, "raw": tuple(raw)}), urls
