"""An invalid setting ends the start with one line that names it.

Starts run in this process; ``tests/system/failures/test_fails_fast.py`` runs one real start of each
kind.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.settings import describe_settings, load_settings
from tests.support.servers.server import PASSWORD
from tests.unit.cli.conftest import Potoo

# A process releases its port when it ends; this one continues.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
SECRET = "hunter2"


@pytest.fixture(scope="module", autouse=True)
def _ports_are_given_back() -> Iterator[None]:
    """Run in this process, where an unclosed port is no fault."""
    yield
    gc.collect()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which a server can start, until a test adds a fault."""

    folder: Path
    models: Path
    taken: int
    """A port with a silent listener."""

    def file(self, name: str, content: bytes = b"nothing of use\xff") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    def empty(self, name: str) -> str:
        path = self.folder / name
        path.mkdir(parents=True)
        return str(path)


@pytest.fixture
def place(tmp_path: Path, colours: Path) -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Place(tmp_path, colours, listener.getsockname()[1])


Refused = Callable[..., list[str]]


@pytest.fixture
def refused(place: Place, potoo: Potoo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refused]:
    """``refused(**settings)``: the lines of a start that must fail, without the security log's."""
    interval = sys.getswitchinterval()

    def start(**settings: str) -> list[str]:
        right = {
            "POTOO_PORT": "0",
            "POTOO_MODELS": str(place.models),
            "POTOO_DATA_DIR": str(place.folder / "data"),
            "POTOO_ADMIN_PASSWORD": PASSWORD,
        }
        for name, value in (right | settings).items():
            monkeypatch.setenv(name, value)
        done = potoo("serve")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stderr
        return [line for line in done.stderr.splitlines() if '"logger":"audit"' not in line]

    yield start
    sys.setswitchinterval(interval)  # a server that gets far enough changes it


Spoil = Callable[[Place], dict[str, str]]


def tls(name: str) -> Spoil:
    """Use a file of that name for both."""

    def spoil(place: Place) -> dict[str, str]:
        place.file("garbage.pem")
        file = str(place.folder / name)
        return {
            "POTOO_GRPC_PORT": "0",
            "POTOO_GRPC_TLS_CERT": file,
            "POTOO_GRPC_TLS_KEY": file,
        }

    return spoil


def always(name: str, value: str) -> Spoil:
    return lambda _: {name: value}


RATE_STORE, DATABASE = "POTOO_AUTH__RATE_STORE", "POTOO_DATABASE_URL"
KEYS = "POTOO_AUTH__SIGNING_KEY_FILE"
FAULTS: dict[str, tuple[str, Spoil]] = {
    # Expected message, and the fault.
    "an unreachable database": (
        "database_url",
        always(DATABASE, f"postgresql://a:{SECRET}@127.0.0.1:1/potoo"),
    ),
    "a database on an unknown host": (
        "database_url",
        always(DATABASE, f"postgresql://a:{SECRET}@nowhere.invalid/potoo"),
    ),
    "a silent database": (
        "database_url",
        lambda place: {DATABASE: f"postgresql://a:{SECRET}@127.0.0.1:{place.taken}/potoo"},
    ),
    "a store of another kind": ("auth.rate_store", always(RATE_STORE, f"memcached://{SECRET}:1")),
    "an invalid number in a store's URL": (
        "auth.rate_store",
        always(RATE_STORE, f"redis://:{SECRET}@127.0.0.1:6379/first"),
    ),
    "an unsupported store option": (
        "auth.rate_store",
        always(RATE_STORE, f"redis://:{SECRET}@127.0.0.1:6379/0?socket_timeout=long"),
    ),
    "a misspelt certificate option of a store": (
        "auth.rate_store",
        always(RATE_STORE, f"rediss://:{SECRET}@127.0.0.1:6379/0?ssl_cert_reqs=perhaps"),
    ),
    "no models' folder": ("models: ", lambda place: {"POTOO_MODELS": f"{place.folder}/none"}),
    "an empty models' folder": ("models: ", lambda place: {"POTOO_MODELS": place.empty("empty")}),
    "a file for the models' folder": (
        "models: ",
        lambda place: {"POTOO_MODELS": place.file("models.zip")},
    ),
    "an unknown model": ("default_model: ", always("POTOO_DEFAULT_MODEL", "birds")),
    "no key file": (
        "auth.signing_key_file: ",
        lambda place: {KEYS: f"{place.folder}/none.pem"},
    ),
    "a folder for a key file": (
        "auth.signing_key_file: ",
        lambda place: {KEYS: place.empty("keys.pem")},
    ),
    "a key file without a key": (
        "auth.signing_key_file ",
        lambda place: {KEYS: place.file("keys.pem")},
    ),
    "a key file with another secret": (
        "auth.signing_key_file ",
        lambda place: {KEYS: place.file("keys.pem", SECRET.encode())},
    ),
    "a used port": ("port: ", lambda place: {"POTOO_PORT": str(place.taken)}),
    "a used gRPC port": (
        "grpc_port: ",
        lambda place: {"POTOO_GRPC_PORT": str(place.taken)},
    ),
    "one port for both": (
        "grpc_port: ",
        lambda place: {"POTOO_PORT": str(place.taken), "POTOO_GRPC_PORT": str(place.taken)},
    ),
    "an address of another machine": ("host: ", always("POTOO_HOST", "192.0.2.1")),
    "an unknown host": ("host: ", always("POTOO_HOST", "nowhere.invalid")),
    "an invalid host": ("host: ", always("POTOO_HOST", "\u00e4..b")),
    "a data folder below a file": (
        "data_dir: ",
        lambda place: {"POTOO_DATA_DIR": place.file("file") + "/data"},
    ),
    "a file for a data folder": ("data_dir: ", lambda place: {"POTOO_DATA_DIR": place.file("a")}),
    # Not writable, even for root.
    "a read-only data folder": ("data_dir: ", always("POTOO_DATA_DIR", "/proc/potoo")),
    "an invalid database file": (
        "data_dir ",
        lambda place: {"POTOO_DATA_DIR": str(Path(place.file("data/potoo.db")).parent)},
    ),
    "no certificate": ("grpc_tls_cert", tls("none.pem")),
    "an invalid certificate": ("grpc_tls_cert", tls("garbage.pem")),
    "no configuration file": ("none.toml", lambda place: {"POTOO_CONFIG": f"{place.folder}/none.toml"}),
    "an invalid configuration file": (
        "none.toml",
        lambda place: {"POTOO_CONFIG": place.file("none.toml")},
    ),
    "an invalid list": ("trusted_proxies", always("POTOO_TRUSTED_PROXIES", "10.0.0.0/8")),
}  # fmt: skip


@pytest.mark.parametrize(("named", "spoil"), FAULTS.values(), ids=FAULTS)
def test_invalid_setting_ends_the_start_naming_it(
    place: Place, refused: Refused, named: str, spoil: Spoil
) -> None:
    (line,) = refused(**spoil(place))
    assert named in line


# Invalid values per type; settings of free text are covered above.
ANY_TEXT = {
    *("host", "models", "default_model", "data_dir", "database_url"),
    *("grpc_tls_key", "auth.signing_key", "auth.signing_key_file"),
    "inference.provider_options",
    *("cameras.files_dir", "cameras.secrets_dir", "cameras.ca_file"),
    *("mqtt.username", "mqtt.password", "mqtt.ca_file"),
    *("sensors.tcp_cert", "sensors.tcp_key"),
}
WRONG = {
    "grpc_tls_cert": "alone.pem",
    "cors_origins": '["*"]',
    "trusted_proxies": '["proxy.example"]',
    "admin_password": "short",
    "cameras.networks": '["10.0.0.0/33"]',
    "sensors.raw": '[{"port": 7701, "sensor": "pump", "allow": []}]',
    "sensors.mqtt_group": "a group/",
    "sensors.definitions": '{"pump": {"channels": 0}}',
    "teach.keep": '[{"dataset": "no name"}]',
    "webhooks.urls": '["ftp://receiver"]',
    "webhooks.secret": "short",
    "auth.issuer": "i" * 256,
    "auth.audience": "a" * 256,
    "auth.issuers": '[{"name": "nothing else"}]',
    "auth.rate_store": "memcached://cache",
    "inference.models": '{"birds": {"max_batch_size": -1}}',
    "inference.preferred_batch_sizes": "[0]",
    "observability.service_name": "s" * 256,
}


TOLD_OF = {"grpc_tls_cert": "grpc_tls_key"}
"""Only one of the two is set."""


def test_every_invalid_setting_is_reported_once(refused: Refused) -> None:
    wrong = {
        name: (variable, WRONG.get(name, "certainly not this"))
        for name, variable, _, _ in describe_settings(load_settings())
        if name not in ANY_TEXT
    }
    lines = refused(**dict(wrong.values()))
    told = [re.split(r"[: ]", line.removeprefix("potoo: cannot start: "))[0] for line in lines]
    for name in wrong:
        expected = TOLD_OF.get(name, name)
        assert any(one == expected or one.startswith(f"{expected}.") for one in told), name
    assert len(told) == len(set(told)), "each of them once"


def change(**members: Any) -> Callable[[Path], None]:
    """Changes the manifest of a model."""

    def apply(folder: Path) -> None:
        file = folder / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | members))

    return apply


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another graph": (lambda folder: (folder / "model.onnx").write_text("a"), "sha256"),
    "a misspelt member": (change(lables=["a"]), "lables"),
    "too few labels": (change(labels=["red", "green"]), "labels"),
    "another output": (change(output={"name": "scores", "kind": "logits"}), "output.name"),
}


@pytest.mark.parametrize(("break_it", "field"), BROKEN.values(), ids=BROKEN)
def test_broken_model_is_reported_in_one_line_with_the_field(
    place: Place, refused: Refused, break_it: Callable[[Path], object], field: str
) -> None:
    models = place.folder / "models"
    shutil.copytree(place.models, models)
    break_it(models / "colours" / "1")
    (line,) = refused(POTOO_MODELS=str(models))
    assert field in line
    assert "colours" in line


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"POTOO_PROT": "1"}, "POTOO_PROT (did you mean POTOO_PORT?)"),
        ({"POTOO_LIMITS__MAX_PIXEL": "1"}, "did you mean POTOO_LIMITS__MAX_PIXELS?"),
        ({"POTOO_LIMITS__MAX_PIXELS": "many"}, "limits.max_pixels"),
        ({"POTOO_WORKERS": "0"}, "workers"),
        ({"POTOO_DATABASE_URL": "mysql://root:hunter2@localhost/potoo"}, "database_url"),
        ({"POTOO_DATABASE_URL": "hunter2"}, "database_url"),
        ({"POTOO_ADMIN_PASSWORD": "hunter2"}, "admin_password"),
        ({"POTOO_CORS_ORIGINS": '["*"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": '["https://*.example"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": '["https://app.example/"]'}, "cors_origins"),
        ({"POTOO_CORS_ORIGINS": "https://app.example"}, "write lists as JSON"),
        ({"POTOO_DOCS": "closed"}, "docs"),
        ({"POTOO_METRICS": "hidden"}, "metrics"),
        ({"POTOO_AUTH__RATE_PER_ADDRESS": "often"}, "auth.rate_per_address"),
        ({"POTOO_AUTH__ALGORITHM": "none"}, "auth.algorithm"),
        ({"POTOO_AUTH__ACCESS_TOKEN_SECONDS": "0"}, "auth.access_token_seconds"),
        ({"POTOO_AUTH__SIGNING_KEY": "hunter2"}, "auth.signing_key"),
        ({"POTOO_AUTH__RATE_STORE": "hunter2"}, "auth.rate_store"),
        ({"POTOO_AUTH__RATE_STORE": "redis://:hunter2@127.0.0.1:port/0"}, "auth.rate_store"),
        ({"POTOO_AUTH__ISSUERS": "hunter2"}, "write lists as JSON"),
        (
            {"POTOO_AUTH__ISSUERS": '[{"name":"a","issuer":"http://a.example","audience":["a"]}]'},
            "auth.issuers.0.issuer",
        ),
    ],
)
def test_invalid_setting_is_reported_in_one_line_naming_it(
    refused: Refused, environment: dict[str, str], named: str
) -> None:
    (line,) = refused(**environment)
    assert named in line
