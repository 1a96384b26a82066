"""Settings of the commands on accounts: those of the installed service, if there is one.

The systemd unit ``potoo.service`` gives the service its settings by an environment file and
credentials, which a shell does not have. A command without them would use another, empty store.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.operator_error import OperatorError
from service.cli.shared.options import acting_user

if TYPE_CHECKING:
    from service.settings import Settings

UNIT = Path("/etc/systemd/system/potoo.service")
ENVIRONMENT_FILE = Path("/etc/potoo/potoo.env")
SECRETS = Path("/etc/potoo/secrets")
STATE = Path("/var/lib/potoo")
"""As in the unit: ``EnvironmentFile``, ``LoadCredential`` and ``StateDirectory``."""
CHOSEN = ("POTOO_CONFIG", "POTOO_DATA_DIR", "POTOO_DATABASE_URL", "POTOO_SECRETS_DIR")
"""Variables that select the store."""
LOCAL_STORE = Path("potoo-data/potoo.db")


class ServiceUnreadable(OperatorError):
    """The settings of the installed service cannot be read by this user."""


def account_settings(config: Path | None, data_dir: Path | None) -> Settings:
    """Load the settings of the selected store.

    It is that of the options or the environment, else one in the current folder, else that of the
    installed service. As root, the process becomes the owner of that service's data folder, so that
    the service can write what the command wrote.

    Raises:
        ServiceUnreadable: there is a service, and its settings cannot be read.
        SettingsError: see ``load_settings``.
    """
    from service.settings import load_settings

    is_named = config or data_dir or any(name in os.environ for name in CHOSEN)
    if is_named or LOCAL_STORE.exists() or not (UNIT.exists() or ENVIRONMENT_FILE.exists()):
        return load_settings(config, data_dir=data_dir)
    for name, value in service_environment().items():
        os.environ.setdefault(name, value)
    settings = load_settings()
    _become_owner(settings.data_dir)
    return settings


def service_environment() -> dict[str, str]:
    """Return the variables that the unit gives to the service.

    Raises:
        ServiceUnreadable: a file cannot be read.
    """
    try:
        given = _lines(ENVIRONMENT_FILE.read_text()) if ENVIRONMENT_FILE.exists() else {}
        files = sorted(SECRETS.iterdir()) if SECRETS.exists() else []
        secrets = {
            f"POTOO_{file.name.upper()}": file.read_text().strip()
            for file in files
            if file.is_file() and not file.name.startswith(".")
        }
    except PermissionError as error:
        message = (
            f"the settings of the service are in {error.filename}, which you may not read: use "
            "sudo, or say with --data-dir which store you mean"
        )
        raise ServiceUnreadable(message) from error
    return {"POTOO_DATA_DIR": str(STATE)} | secrets | given


def _lines(text: str) -> dict[str, str]:
    """Parse an environment file of systemd: ``NAME=VALUE``, quoted or not."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, sign, value = line.strip().partition("=")
        if sign and name.startswith("POTOO_"):
            found[name] = "".join(shlex.split(value)) if value[:1] in {"'", '"'} else value
    return found


def _become_owner(folder: Path) -> None:
    if os.geteuid() != 0 or not folder.exists():
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        acting_user()  # for the security log, before the user changes
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
