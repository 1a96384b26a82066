"""Sources and precedence of settings, and errors of invalid ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from service.core.engine.pool import usable_cores
from service.core.engine.providers import Provider
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.settings import RunSettings
from service.settings import (
    LimitSettings,
    Settings,
    SettingsError,
    describe_settings,
    load_settings,
)

SECRET = "a secret nobody may see"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "potoo.toml"


def refused(config: Path | None = None, **given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, **given)
    return str(caught.value)


def test_defaults_are_valid() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.models == Path("potoo-data/models")
    assert settings.admin_password is None
    assert settings.limits == LimitSettings()


def test_arguments_override_environment_file_and_defaults(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text('port = 1\nhost = "file"\nworkers = 2\ndrain_seconds = 3\n')
    monkeypatch.setenv("POTOO_PORT", "11")
    monkeypatch.setenv("POTOO_HOST", "environment")
    settings = load_settings(toml, port=111, host=None)
    assert settings.port == 111
    assert settings.host == "environment", "None means that nothing was given"
    assert settings.workers == 2
    assert settings.drain_seconds == 3
    assert settings.limits.max_batch_files == 32


def test_groups_are_merged_from_all_sources(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text("[limits]\nmax_batch_files = 5\nmax_frames = 6\n[auth]\nissuer = 'file'\n")
    monkeypatch.setenv("POTOO_LIMITS__MAX_FRAMES", "66")
    monkeypatch.setenv("POTOO_AUTH__AUDIENCE", "environment")
    settings = load_settings(toml)
    assert (settings.limits.max_batch_files, settings.limits.max_frames) == (5, 66)
    assert (settings.auth.issuer, settings.auth.audience) == ("file", "environment")


def test_config_file_can_be_named_in_the_environment(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text("port = 1\n")
    monkeypatch.setenv("POTOO_CONFIG", str(toml))
    assert load_settings().port == 1
    other = tmp_path / "other.toml"
    other.write_text("port = 2\n")
    assert load_settings(other).port == 2, "the one on the command line goes first"


@pytest.mark.parametrize("name", ["POTOO_PORT", "POTOO_CONFIG", "POTOO_LIMITS__MAX_PIXELS"])
def test_empty_variable_is_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert load_settings() == load_settings(port=8000)


def test_variables_are_case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("potoo_port", "77")
    assert load_settings().port == 77


@pytest.mark.parametrize(
    ("variable", "guess"),
    [
        ("POTOO_PROT", "POTOO_PORT"),
        ("POTOO_LIMITS__MAX_PIXEL", "POTOO_LIMITS__MAX_PIXELS"),
        ("POTOO_MAX_PIXELS", "POTOO_LIMITS__MAX_PIXELS"),
        ("potoo_hots", "POTOO_HOST"),
        ("POTOO_LIMITS", None),
        ("POTOO_COMPLETELY_DIFFERENT", None),
    ],
)
def test_unknown_variable_is_refused_with_a_suggestion(
    variable: str, guess: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    message = refused()
    assert f"unknown setting in the environment: {variable}" in message
    assert SECRET not in message
    if guess:
        assert f"did you mean {guess}?" in message


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOOS_PORT", "x")
    monkeypatch.setenv("PORT", "x")
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("text", "name"),
    [("prot = 1", "prot"), ("[limits]\nmax_pixel = 1", "limits.max_pixel"), ("[limit]", "limit")],
)
def test_unknown_name_in_the_file_is_refused(toml: Path, text: str, name: str) -> None:
    toml.write_text(text)
    assert f"{name}: unknown setting" in refused(toml)


def test_unknown_name_in_the_file_gets_a_suggestion(toml: Path) -> None:
    toml.write_text("[limits]\nmax_pixel = 1\n")
    assert "did you mean limits.max_pixels?" in refused(toml)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("port = 70000", "port"),
        ("port = -1", "port"),
        ('port = "http"', "port"),
        ("workers = 0", "workers"),
        ("host = 1", "host"),
        ("grpc_port = 70000", "grpc_port"),
        ("grpc_tls_cert = 'cert.pem'", "grpc_tls_key"),
        ("drain_seconds = -1", "drain_seconds"),
        ("drain_seconds = nan", "drain_seconds"),
        ("[limits]\nmax_pixels = 0", "limits.max_pixels"),
        ("[limits]\nmax_pixels = 90000000", "limits.max_pixels"),
        ("[limits]\nbody_timeout_seconds = 0", "limits.body_timeout_seconds"),
        ("[inference]\nmax_batch_size = 1.5", "inference.max_batch_size"),
        ("[inference]\nqueue_capacity = 0", "inference.queue_capacity"),
        ("[auth]\naccess_token_seconds = 59", "auth.access_token_seconds"),
        ("[auth]\nissuer = ''", "auth.issuer"),
        ("[observability]\nlog_level = 'loud'", "observability.log_level"),
        ("[observability]\naccess_log = 'perhaps'", "observability.access_log"),
        ("limits = 1", "limits"),
    ],
)
def test_invalid_value_is_refused_by_name(toml: Path, text: str, name: str) -> None:
    toml.write_text(text)
    assert f"{name}: " in refused(toml)


def test_every_invalid_setting_is_reported_at_once(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text("port = -1\nprot = 1\n[limits]\nmax_pixels = 0\n")
    monkeypatch.setenv("POTOO_WORKERS", "many")
    names = [line.partition(":")[0] for line in refused(toml).splitlines()]
    assert sorted(names) == ["limits.max_pixels", "port", "prot", "workers"]


def test_refusal_never_repeats_values(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text(f'port = "{SECRET}"\npassword = "{SECRET}"\nadmin_password = ["{SECRET}"]\n')
    monkeypatch.setenv("POTOO_WORKERS", SECRET)
    message = refused(toml)
    assert message.count("\n") == 3
    assert SECRET not in message


@pytest.mark.parametrize("text", ["port =", "port = 1\nport = 2", "[limits", "= 1", "port = 1 2"])
def test_malformed_toml_is_refused_with_its_position(toml: Path, text: str) -> None:
    toml.write_text(text)
    message = refused(toml)
    assert str(toml) in message
    assert "line" in message or "end of document" in message


def test_non_utf8_file_is_refused(toml: Path) -> None:
    toml.write_bytes(b"host = '\xff'")
    assert str(toml) in refused(toml)


def test_a_missing_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no configuration file" in refused(tmp_path / "missing.toml")
    assert "there is no configuration file" in refused(tmp_path)
    monkeypatch.setenv("POTOO_CONFIG", str(tmp_path / "missing.toml"))
    assert "missing.toml" in refused()


def test_unnamed_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "potoo.toml").write_text("port = 1\n")
    (tmp_path / ".env").write_text("POTOO_PORT=2\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings().port == 8000


def test_an_unknown_argument_is_refused() -> None:
    assert "prot: unknown setting" in refused(prot=1)


def test_settings_are_frozen_and_can_be_pickled() -> None:
    settings = load_settings(admin_password=SECRET)
    assert type(settings) is Settings
    again = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    assert again == settings
    assert again.admin_password.get_secret_value() == SECRET
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.limits.max_pixels = 1  # type: ignore[misc]


def test_secrets_are_masked_in_every_representation() -> None:
    settings = load_settings(admin_password=SECRET)
    assert isinstance(settings.admin_password, SecretStr)
    shown = [str(value) for _, _, value, _ in describe_settings(settings)]
    for text in (repr(settings), str(settings), settings.model_dump_json(), *shown):
        assert SECRET not in text


def test_every_setting_is_described_and_settable_by_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = load_settings()
    described = list(describe_settings(default))
    names = [name for name, _, _, _ in described]
    assert len(set(names)) == len(names)
    for name, variable, value, description in described:
        assert description, name
        assert variable == "POTOO_" + name.replace(".", "__").upper()
        if value is not None:
            text = json.dumps(value) if isinstance(value, tuple | dict) else str(value)
            monkeypatch.setenv(variable, text)
    assert load_settings() == default
    groups = [field for field, value in default if isinstance(value, BaseModel)]
    assert {name.split(".")[0] for name in names if "." in name} == set(groups)


def test_grpc_is_off_without_a_port() -> None:
    assert load_settings().grpc_port is None
    assert load_settings(grpc_port=0).grpc_port == 0


@pytest.mark.parametrize("given", ["grpc_tls_cert", "grpc_tls_key"])
def test_grpc_certificate_requires_its_key(given: str) -> None:
    alone: dict[str, Any] = {given: "file.pem"}
    assert "grpc_tls_key: " in refused(**alone)
    both = load_settings(grpc_tls_cert="cert.pem", grpc_tls_key="key.pem")
    assert (both.grpc_tls_cert, both.grpc_tls_key) == (Path("cert.pem"), Path("key.pem"))


def test_message_limit_equals_the_longest_upload() -> None:
    limits = load_settings(limits={"max_body_bytes": 2**22, "max_batch_bytes": 2**21}).limits
    assert limits.max_message_bytes == 2**22


def test_workers_default_to_the_number_of_cores() -> None:
    assert load_settings().inference.threads() == usable_cores()
    assert load_settings(inference={"workers": 3}).inference.threads(found=5) == 3


def test_model_settings_override_the_general_ones(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text(
        "[inference]\nqueue_capacity = 9\nmax_batch_size = 2\n"
        "[inference.models.birds]\nmax_batch_size = 8\npreferred_batch_sizes = [4]\n"
    )
    monkeypatch.setenv("POTOO_INFERENCE__MODELS__BIRDS__MAX_QUEUE_DELAY_MS", "5")
    inference = load_settings(toml).inference
    assert inference.of("everyday").batch_policy == BatchPolicy(max_batch_size=2, queue_capacity=9)
    assert inference.of("birds").batch_policy == BatchPolicy(
        max_batch_size=8, preferred_batch_sizes=(4,), max_queue_delay=0.005, queue_capacity=9
    )


def test_calibration_results_override_only_defaults() -> None:
    found = RunSettings(max_batch_size=4, threads_alone=1)
    inference = load_settings(inference={"threads_alone": 2}).inference
    assert inference.of("everyday", found).max_batch_size == 4
    assert inference.of("everyday", found).threads_alone == 2
    assert inference.threads(found=7) == 7


def test_batching_defaults_to_accelerators_only() -> None:
    sizes = {
        provider: RunSettings(provider=provider).batch_policy.max_batch_size
        for provider in Provider
    }
    assert (sizes.pop(Provider.CPU), sizes.pop(Provider.OPENVINO)) == (1, 1)
    assert set(sizes.values()) == {16}


def test_unknown_model_setting_is_refused(toml: Path) -> None:
    toml.write_text("[inference.models.birds]\nmax_batch = 8\n")
    with pytest.raises(SettingsError, match=r"inference\.models\.birds\.max_batch: unknown"):
        load_settings(toml)


def test_trusted_proxies_are_networks_or_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTOO_TRUSTED_PROXIES", '["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]')
    given = load_settings().trusted_proxies
    assert list(map(str, given)) == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "", "*"])
def test_invalid_network_is_refused(wrong: str) -> None:
    assert refused(trusted_proxies=["10.0.0.0/8", wrong]).startswith("trusted_proxies.1: ")


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_whole_internet_as_trusted_proxy_is_refused(everybody: str) -> None:
    assert "choose their own address" in refused(trusted_proxies=[everybody])
