"""Trial server to be loaded: complete, in its own process, with other settings."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import SecretStr

from auth.principal import ALL_SCOPES
from auth.settings import AuthSettings
from observability.logs.logging import configure_logging
from observability.metrics.metrics import Metrics
from observability.settings import ObservabilitySettings
from schemas.operator_error import OperatorError
from service.app import create_app
from service.runtime.first_run import FIRST_ACCOUNT, prepare
from service.runtime.identity import open_identity
from service.settings import Settings
from service.transport.http.server.running import run

START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0
LOG_LINES = 5


class TrialFailed(OperatorError):
    """The server did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A running server; stopped when its ``with`` block ends."""

    url: str
    token: str


@contextmanager
def running(settings: Settings) -> Iterator[Trial]:
    """Start a server with the models and limits of ``settings``, and its own accounts.

    It listens on 127.0.0.1 only; neither the data folder nor the database of the settings is used.

    Raises:
        TrialFailed: if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="potoo-trial-") as name:
        folder = Path(name)
        ours, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=_serve, args=(for_trial(settings, folder), theirs, folder / "log"), daemon=True
        )
        process.start()
        theirs.close()
        try:
            try:
                if not ours.poll(START_TIMEOUT):
                    raise TrialFailed(f"the server is not ready after {START_TIMEOUT:.0f} s")
                url, token = ours.recv()
            except EOFError:
                process.join(STOP_TIMEOUT)
                raise TrialFailed(_end_of(folder / "log")) from None
            yield Trial(url, token)
        finally:
            process.terminate()
            process.join(STOP_TIMEOUT)
            process.kill()
            process.join()


def for_trial(settings: Settings, folder: Path) -> Settings:
    """Return trial settings: keep what affects speed, replace what reaches other systems."""
    return settings.model_copy(
        update={
            "host": "127.0.0.1",
            "port": 0,
            "grpc_port": None,
            "workers": 1,
            "data_dir": folder / "data",
            "database_url": None,
            "admin_password": SecretStr(os.urandom(16).hex()),
            "auth": AuthSettings(access_token_seconds=3600),
            "observability": ObservabilitySettings(),
            "drain_delay_seconds": 0.0,
            "drain_seconds": 5.0,
        }
    )


def _serve(settings: Settings, connection: Connection, log: Path) -> None:
    """Run the trial process: write logs to a file, send URL and token to ``connection``."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    configure_logging(settings.observability)
    prepare(settings)
    token = asyncio.run(_token(settings))
    try:
        run(create_app, settings, lambda url, _: connection.send((url, token)))
    finally:
        connection.close()


async def _token(settings: Settings) -> str:
    """Return a token of the trial's own account, for the length of the trial."""
    async with open_identity(settings, Metrics()) as identity:
        seconds = settings.auth.access_token_seconds
        return identity.signer.issue(FIRST_ACCOUNT, ALL_SCOPES, seconds)


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(["the server does not start:", *lines[-LOG_LINES:]])
