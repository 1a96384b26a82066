"""Settings of the outputs."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.settings import Settings, SettingsError, describe_settings, load_settings
from service.settings.results import secret_key

SECRET = "a secret of sixteen characters or more"


def refused(**variables: str) -> str:
    with pytest.raises(SettingsError) as error:
        loaded(**variables)
    return str(error.value)


def loaded(**variables: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(f"POTOO_{name}", value)
        return load_settings()


def test_nothing_is_sent_by_default() -> None:
    settings = loaded()
    assert settings.mqtt.host is None
    assert settings.webhooks.urls == ()


def test_port_follows_from_tls() -> None:
    assert loaded(MQTT__HOST="broker").mqtt.effective_port == 1883
    assert loaded(MQTT__HOST="broker", MQTT__TLS="true").mqtt.effective_port == 8883
    assert loaded(MQTT__HOST="broker", MQTT__PORT="1").mqtt.effective_port == 1


def test_secrets_are_read_from_files_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"mqtt__password": "broker's password", "webhooks__secret": SECRET}
    for name, value in secrets.items():
        (tmp_path / f"potoo_{name}").write_text(f"{value}\n")
    monkeypatch.setenv("POTOO_SECRETS_DIR", str(tmp_path))
    settings = loaded(MQTT__USERNAME="potoo", WEBHOOKS__URLS='["https://hooks.example/a"]')
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == "broker's password"
    assert settings.webhooks.secret is not None
    assert settings.webhooks.secret.get_secret_value() == SECRET
    shown = str(list(describe_settings(settings)))
    assert not any(value in shown for value in secrets.values())


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example",
        "http://192.168.1.5:8123/api/webhook/abc?x=%20y",
        "http://[::1]:80/",
    ],
)
def test_target_is_accepted(url: str) -> None:
    settings = loaded(WEBHOOKS__URLS=f'["{url}"]', WEBHOOKS__SECRET=SECRET)
    assert settings.webhooks.urls == (SecretStr(url),)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks.example",
        "hooks.example/a",
        "https:///a",
        "https://user:password@hooks.example",
        "https://user@hooks.example",
        "https://hooks.example/#a",
        "https://hooks.example/a b",
        "https://hooks.example/\\u00fc",
        "https://hooks.example/\\n",
        "https://hooks.example:99999",
        "https://hooks.example:0",
        "https://[::1",
        "",
    ],
)
def test_target_is_refused_by_its_place_and_never_shown(url: str) -> None:
    message = refused(WEBHOOKS__URLS=f'["{url}"]', WEBHOOKS__SECRET=SECRET)
    assert message.startswith("webhooks.urls.0: ")
    assert "password@" not in message


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {
                "WEBHOOKS__URLS": '["https://a.example", "https://a.example"]',
                "WEBHOOKS__SECRET": SECRET,
            },
            "the same",
        ),
        ({"WEBHOOKS__SECRET": "short"}, "16 to 255 bytes"),
        ({"WEBHOOKS__SECRET": "whsec_" + base64.b64encode(b"short").decode()}, "16 to 255 bytes"),
        ({"WEBHOOKS__SECRET": "whsec_no base64 at all!"}, "there must be base64"),
        ({"WEBHOOKS__ATTEMPTS": "0"}, "webhooks.attempts"),
        ({"MQTT__PASSWORD": "x"}, "password needs a username"),
        ({"MQTT__CA_FILE": "ca.pem"}, "ca_file needs tls"),
        ({"MQTT__TOPIC": "a/#"}, "mqtt.topic"),
        ({"MQTT__TOPIC": "/a"}, "mqtt.topic"),
        ({"MQTT__TOPIC": "$SYS"}, "mqtt.topic"),
        ({"MQTT__HOST": "mqtt://broker"}, "mqtt.host"),
        ({"MQTT__PORT": "0"}, "mqtt.port"),
    ],
)
def test_inconsistent_settings_are_refused(variables: dict[str, str], message: str) -> None:
    assert message in refused(**variables)


def test_secret_is_text_or_base64() -> None:
    assert secret_key("text") == b"text"
    assert secret_key("whsec_" + base64.b64encode(b"bytes").decode()) == b"bytes"
