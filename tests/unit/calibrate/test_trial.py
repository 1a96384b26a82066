"""A trial server is isolated from the network and from the real server's data."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from service.calibrate.trial import for_trial
from service.settings import Settings


def test_trial_settings_use_no_port_store_or_server_data(tmp_path: Path) -> None:
    url = SecretStr("postgresql://potoo:secret@store/potoo")
    settings = Settings(host="0.0.0.0", port=8000, grpc_port=8001, database_url=url)  # noqa: S104
    trial = for_trial(settings, tmp_path)
    assert (trial.host, trial.port, trial.grpc_port) == ("127.0.0.1", 0, None)
    assert trial.database_url is None
    assert trial.data_dir.is_relative_to(tmp_path)
    assert trial.models == settings.models
