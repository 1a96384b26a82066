"""All settings, their defaults and sources.

Precedence, highest first: command line, environment (``POTOO_PORT``, ``POTOO_LIMITS__MAX_PIXELS``),
secret files, configuration file (TOML), default. Unknown names are refused in every source.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from auth.passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from auth.settings import AuthSettings
from observability.settings import ObservabilitySettings
from schemas.operator_error import OperatorError
from service.core.settings import DriftSettings, InferenceSettings
from service.modeltools.sources.model_sources import is_safe
from service.settings import secret_files
from service.settings.cameras import CameraSettings
from service.settings.limits import LimitSettings
from service.settings.preprocess import PreprocessSettings
from service.settings.results import MqttSettings, WebhookSettings
from service.settings.sensors import SensorSettings
from service.settings.teach import TeachSettings
from service.settings.training import TrainingSettings

ENV_PREFIX = "POTOO_"
NESTED = "__"
CONFIG_VARIABLE = "POTOO_CONFIG"
SECRETS_VARIABLE = "POTOO_SECRETS_DIR"
OF_ONE_MODEL = "POTOO_INFERENCE__MODELS__"
"""Prefix of a model's name and setting; Pydantic validates both."""
OWN_MODELS = "models"
"""Folder in the data folder: the repository of the built-in models."""


Exposure = Literal["open", "token", "off"]
Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", max_length=255)]
"""Scheme, host and port, exactly: there are no wildcards."""


def own_models(given: dict[str, Any]) -> Path:
    """Return the path of the repository in the data folder."""
    folder: Path = given.get("data_dir", Path())
    return folder / OWN_MODELS


class SettingsError(OperatorError):
    """A setting is unknown or not valid; the message names the setting and its source."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CompatibilitySettings(_Group):
    """Group ``[compatibility]``: endpoints of other servers, for their existing clients."""

    kserve_v1: bool = Field(default=False, description="KServe V1: /v1/models/{name}:predict")
    tf_serving: bool = Field(
        default=False, description="TensorFlow Serving: /v1/models/{name}:predict, :classify"
    )
    torchserve: bool = Field(default=False, description="TorchServe: /predictions/{name} and /ping")
    predict: bool = Field(default=False, description="POST /predict with one image in a form")


class Settings(BaseSettings):
    """All settings of the server. Frozen; made by ``load_settings``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=NESTED,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="port; 0 takes a free one")
    grpc_port: int | None = Field(
        default=None, ge=0, le=65_535, description="port for gRPC, such as 8001; off if not set"
    )
    grpc_tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) for gRPC; without it no TLS"
    )
    grpc_tls_key: Path | None = Field(
        default=None, validate_default=True, description="the key to it (PEM)"
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="processes; one uses every core already"
    )
    models_poll_seconds: float = Field(
        default=5, ge=0, le=3600, description="between looks for changed models; 0: never looks"
    )
    models_mirror: str | None = Field(
        default=None,
        description="base address that the catalogue's models are pulled from, such as "
        "https://mirror.example/models",
    )
    default_model: str | None = Field(
        default=None,
        description="serves requests that name no model; overrides 'potoo models default'",
    )
    data_dir: Path = Field(
        default=Path("potoo-data"), description="the embedded store, the signing keys, the models"
    )
    models: Path = Field(
        default_factory=own_models,
        description="model repository: <name>/<version>/model.onnx; else models in data_dir",
    )
    public_url: Origin | None = Field(
        default=None,
        description="under which clients call, such as https://potoo.example: the issuer of our "
        "tokens (unless auth.issuer is set), our metadata, links",
    )
    admin_password: SecretStr | None = Field(
        default=None, description="of the first account, made on the first run"
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://USER:PASSWORD@HOST/NAME where replicas share accounts",
    )
    migration_copies: int = Field(
        default=3,
        ge=0,
        le=100,
        description="copies of the embedded store, made in data_dir/backups before an upgrade "
        "changes its tables, that are kept; 0: none",
    )
    docs: Exposure = Field(default="open", description="/docs and /openapi.json: open, token, off")
    metrics: Exposure = Field(
        default="open", description="/metrics: open, token (scope `metrics`), off"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="web pages of other origins that may call, such as https://app.example",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="whose X-Forwarded-For and -Proto hold, such as 10.0.0.0/8"
    )
    drain_delay_seconds: float = Field(
        default=0,
        ge=0,
        le=600,
        description="after SIGTERM, to go on accepting while /readyz answers 503",
    )
    drain_seconds: float = Field(
        default=25, ge=0, le=600, description="after that, to answer what was accepted"
    )
    limits: LimitSettings = LimitSettings()
    inference: InferenceSettings = InferenceSettings()
    auth: AuthSettings = AuthSettings()
    cameras: CameraSettings = CameraSettings()
    compatibility: CompatibilitySettings = CompatibilitySettings()
    mqtt: MqttSettings = MqttSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    sensors: SensorSettings = SensorSettings()
    teach: TeachSettings = TeachSettings()
    training: TrainingSettings = TrainingSettings()
    drift: DriftSettings = DriftSettings()
    webhooks: WebhookSettings = WebhookSettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @field_validator("admin_password")
    @classmethod
    def _fit_for_use(cls, password: SecretStr | None) -> SecretStr | None:
        if password and not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            raise ValueError(
                f"it must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters"
            )
        return password

    @field_validator("models_mirror")
    @classmethod
    def _is_base_address(cls, mirror: str | None) -> str | None:
        if mirror is not None and (not is_safe(mirror) or set(mirror) & set("?#@ ")):
            raise ValueError("it must be https:// (http:// on this machine), a host and a path")
        return mirror

    @field_validator("trusted_proxies")
    @classmethod
    def _is_not_everybody(cls, networks: tuple[IPvAnyNetwork, ...]) -> tuple[IPvAnyNetwork, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("callers could choose their own address: list the proxies instead")
        return networks

    @field_validator("grpc_port")
    @classmethod
    def _has_its_own(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise ValueError("the HTTP server uses this port already")
        return port

    @field_validator("grpc_tls_key")
    @classmethod
    def _with_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("grpc_tls_cert") is None):
            raise ValueError("grpc_tls_cert and grpc_tls_key go together")
        return key

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, highest precedence first."""
        del dotenv_settings
        secrets = NestedSecretsSettingsSource(file_secret_settings)
        return init_settings, env_settings, secrets, TomlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **given: object) -> Settings:
    """Load settings from command line (``given``; None means not given), environment and files.

    Raises:
        SettingsError: with the names of settings that are unknown or not valid.
    """
    if config is None and (variable := os.environ.get(CONFIG_VARIABLE)):
        config = Path(variable)
    if config is not None and not config.is_file():
        message = f"there is no configuration file {config}"
        raise SettingsError(message)
    _refuse_unknown_variables()
    secrets = _folder_of_secrets()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config, secrets_dir=secrets)

    try:
        settings = FromFile(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_faults(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: {error}") from error
    except PydanticSettingsError as error:
        raise SettingsError(f"{error}: write lists as JSON, such as '[\"a\"]'") from error
    values = dict(settings) | {"auth": _with_issuer(settings.auth, settings.public_url)}
    # Worker processes get their settings by pickle, which a local class does not survive.
    return Settings.model_construct(**values)


def _with_issuer(auth: AuthSettings, public_url: str | None) -> AuthSettings:
    """Return the settings with the public URL as issuer, unless another one is set."""
    if public_url is None or "issuer" in auth.model_fields_set:
        return auth
    if any(one.issuer == public_url for one in auth.issuers):
        message = "public_url: an issuer of auth.issuers has the same URL"
        raise SettingsError(message)
    return auth.model_copy(update={"issuer": public_url})


def describe_settings(settings: Settings) -> Iterator[tuple[str, str, object, str]]:
    """Yield (TOML name, variable, value, description) of every setting; secrets masked."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for inner, inner_field in type(value).model_fields.items():
                yield (
                    f"{name}.{inner}",
                    f"{ENV_PREFIX}{name}{NESTED}{inner}".upper(),
                    getattr(value, inner),
                    inner_field.description or "",
                )
        else:
            yield name, f"{ENV_PREFIX}{name}".upper(), value, field.description or ""


def _refuse_unknown_variables() -> None:
    known = {*_variables(), CONFIG_VARIABLE, SECRETS_VARIABLE}
    for variable in sorted(os.environ):
        name = variable.upper()
        if name.startswith(ENV_PREFIX) and name not in known and not name.startswith(OF_ONE_MODEL):
            hint = _guess(name, known)
            raise SettingsError(f"unknown setting in the environment: {variable}{hint}")


def _folder_of_secrets() -> Path | None:
    """Return the checked folder of ``POTOO_SECRETS_DIR``; None if it is not set."""
    if not (variable := os.environ.get(SECRETS_VARIABLE)):
        return None
    folder, known = Path(variable), _variables()
    faults = secret_files.faults(
        folder,
        is_known=lambda name: name in known or name.startswith(OF_ONE_MODEL),
        guess=lambda name: _guess(name, known),
    )
    if lines := "\n".join(faults):
        raise SettingsError(lines)
    return folder


def _variables() -> set[str]:
    described = describe_settings(Settings.model_construct())
    return {variable for _, variable, _, _ in described}


def _guess(name: str, known: Iterable[str]) -> str:
    guesses = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {guesses[0]}?)" if guesses else ""


def _faults(error: ValidationError) -> str:
    """Return one line per fault, without the value: it may be a secret."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        if fault["type"] == "default_factory_not_called":  # follows from the other faults
            continue
        name = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            known = [setting for setting, _, _, _ in describe_settings(Settings.model_construct())]
            lines.append(f"{name}: unknown setting{_guess(name, known)}")
        else:
            lines.append(f"{name}: {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
