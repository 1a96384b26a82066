"""The URL of a server or broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"tcp": 7700, "tcps": 7700, "mqtt": 1883, "mqtts": 8883}
DEFAULT_TOPIC = "potoo"


@dataclass(frozen=True, slots=True)
class Address:
    """A server (``tcp``, ``tcps``) or broker (``mqtt``, ``mqtts``).

    Attributes:
        topic: of MQTT: beginning of all topics, the server's setting ``mqtt.topic``.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    topic: str = DEFAULT_TOPIC

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"tcps", "mqtts"}

    @property
    def is_mqtt(self) -> bool:
        """Whether a broker is between the device and the server."""
        return self.scheme in {"mqtt", "mqtts"}


def parse_address(url: str) -> Address:
    """Parse ``tcp://host[:7700]``, ``tcps://``, ``mqtt://[user[:password]@]host[:1883][/topic]``.

    Raises:
        ValueError: the URL is not one of these.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        message = f"'{url}' is not tcp://host:port, tcps://…, mqtt://user@host:port or mqtts://…"
        raise ValueError(message)
    is_mqtt = parts.scheme.startswith("mqtt")
    if not is_mqtt and (parts.username or parts.path.strip("/")):
        message = "a tcp:// address has neither a user nor a path"
        raise ValueError(message)
    return Address(
        parts.scheme,
        parts.hostname,
        parts.port or _PORTS[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        parts.path.strip("/") or DEFAULT_TOPIC,
    )
