"""All settings, a module for each group; ``settings`` has the whole and loads it."""

from __future__ import annotations

from service.settings.limits import LimitSettings
from service.settings.settings import (
    CONFIG_VARIABLE,
    OF_ONE_MODEL,
    SECRETS_VARIABLE,
    CompatibilitySettings,
    Exposure,
    Settings,
    SettingsError,
    describe_settings,
    load_settings,
    own_models,
)

__all__ = [
    "CONFIG_VARIABLE",
    "OF_ONE_MODEL",
    "SECRETS_VARIABLE",
    "CompatibilitySettings",
    "Exposure",
    "LimitSettings",
    "Settings",
    "SettingsError",
    "describe_settings",
    "load_settings",
    "own_models",
]
