"""Where the broker is, from the settings."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from schemas.operator_error import OperatorError
from service.settings.results import MqttSettings


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is, and how to sign in.

    Attributes:
        tls: None for a connection without encryption.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


def broker_address(settings: MqttSettings) -> BrokerAddress:
    """Return the address that is configured.

    Raises:
        OperatorError: the file of authorities cannot be read.
    """
    return BrokerAddress(
        host=settings.host or "",
        port=settings.effective_port,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        tls=_tls(settings),
    )


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"mqtt.ca_file: {error}") from error
