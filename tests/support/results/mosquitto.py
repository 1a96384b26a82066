"""A real MQTT broker, and subscribers to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from client.sensors.links.paho_thread import PahoThread
from tests.support.proxies.certificates import self_signed
from tests.support.servers.databases import free_port, missing
from tests.support.waiting import PATIENCE, wait_until

USERNAME, PASSWORD = "potoo", "a password of the broker"
STOP_SECONDS = 20
RETURN_SECONDS = 0.2


@dataclass
class Mosquitto:
    """A broker that forgets everything when it is stopped, unless it is ``persistent``.

    Attributes:
        persistent: it keeps sessions in its folder, saved once a second.
        extra: lines of its configuration.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    persistent: bool = False
    extra: tuple[str, ...] = ()

    @property
    def ca_file(self) -> Path:
        return self.folder / "cert.pem"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            missing("mosquitto")
        with (self.folder / "mosquitto.log").open("a") as log:
            self.process = subprocess.Popen(
                [str(program), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        assert wait_until(lambda: self._listens(self.port) and self._listens(self.tls_port)), (
            self.folder / "mosquitto.log"
        ).read_text()

    def stop(self) -> None:
        """Stop it; its ports refuse connections from then on."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            finally:
                self.process.kill()
            self.process = None

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self.process = None

    def _listens(self, port: int) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def configure(self) -> None:
        """Write its files: a port without, and one with TLS and password."""
        self_signed(self.folder, "localhost")
        passwords = self.folder / "passwords"
        passwords.touch()
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), USERNAME, PASSWORD],
            check=True,
            capture_output=True,
        )
        lines = [
            "per_listener_settings true",
            *self._persistence(),
            *self.extra,
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            f"listener {self.tls_port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"certfile {self.folder}/cert.pem",
            f"keyfile {self.folder}/key.pem",
        ]
        if os.geteuid() == 0:  # it would change to an account that cannot read the files
            lines.insert(0, "user root")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _persistence(self) -> list[str]:
        if not self.persistent:
            return ["persistence false"]
        place = f"persistence_location {self.folder}/"
        return ["persistence true", place, "autosave_interval 1"]


@dataclass(frozen=True)
class Heard:
    """A message that a subscriber got."""

    topic: str
    payload: str
    is_retained: bool


class _Returning(PahoThread):
    """Connects again until it is stopped."""

    def run(self) -> None:
        super().run()
        while not self.stopping.wait(RETURN_SECONDS):
            with suppress(OSError):
                self.client.reconnect()
                super().run()


class Listener:
    """A subscriber with a thread; it returns after a broker's restart."""

    def __init__(self, port: int, topic: str = "#") -> None:
        self._topic = topic
        self.heard: list[Heard] = []
        self._is_subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._exchange = _Returning(self._client)
        self._exchange.start()
        assert self._is_subscribed.wait(PATIENCE)

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe(self._topic, qos=1)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        is_retained = bool(message.retain)
        self.heard.append(Heard(message.topic, message.payload.decode(), is_retained))

    def payloads(self, topic: str) -> list[str]:
        """The payloads received on a topic, oldest first."""
        return [one.payload for one in self.heard if one.topic == topic]

    def last(self) -> dict[str, str]:
        """The last payload of each topic; without those that are empty."""
        found = {one.topic: one.payload for one in self.heard}
        return {topic: payload for topic, payload in found.items() if payload}

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        info.wait_for_publish(PATIENCE)

    def close(self) -> None:
        self._client.disconnect()
        self._exchange.stop()


@contextmanager
def listening(port: int, topic: str = "#") -> Iterator[Listener]:
    """Subscribe, to everything if not told otherwise: retained messages come first."""
    listener = Listener(port, topic)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def mosquitto(
    folder: Path, *, persistent: bool = False, extra: tuple[str, ...] = ()
) -> Iterator[Mosquitto]:
    """Run a broker."""
    broker = Mosquitto(folder, persistent=persistent, extra=extra)
    if shutil.which("mosquitto_passwd") is None:
        missing("mosquitto")
    broker.configure()
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
