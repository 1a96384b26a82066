"""``potoo serve``."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, ModelsOption, plain_errors, tell

if TYPE_CHECKING:
    from fastapi import FastAPI

    from service.settings import Settings


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. [env: POTOO_HOST]", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port; 0 takes a free one. [env: POTOO_PORT]", show_default="8000"),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            help="Port for gRPC, such as 8001; 0 takes a free one. [env: POTOO_GRPC_PORT]",
            show_default="off",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes; a single one uses every core. [env: POTOO_WORKERS]", show_default="1"
        ),
    ] = None,
    models: ModelsOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Start the server.

    The first start creates the account 'admin' and prints its password once;
    POTOO_ADMIN_PASSWORD sets that password instead.

    'potoo config' shows every setting.
    """
    with plain_errors("cannot start: "):
        from observability.logs.audit import Audit
        from observability.logs.logging import configure_logging
        from observability.metrics.metrics import Metrics
        from service.runtime.first_run import LINK_MINUTES, make_link, prepare, prepare_models
        from service.runtime.process import tell_systemd
        from service.settings import load_settings
        from service.transport.http.server.running import run

        settings = load_settings(
            config,
            host=host,
            port=port,
            grpc_port=grpc_port,
            workers=workers,
            models=models,
            data_dir=data_dir,
        )
        configure_logging(settings.observability)
        welcome = prepare(settings)
        prepare_models(settings, tell, Audit(Metrics()))

        if welcome.password:
            # Print it now: a start that fails later must not lose it.
            typer.echo(
                "\nFirst start. Created an account; its password is shown only now.\n"
                f"  name:          {welcome.name}\n  password:      {welcome.password}"
            )

        def on_ready(url: str, models_line: str) -> None:
            tell_systemd("READY=1")
            public = settings.public_url or url
            lines = [f"\nPotoo is ready:  {url}", f"  API docs:      {public}/docs"]
            lines.append(f"  model:         {models_line}")
            if address:
                lines.append(f"  gRPC:          {address}")
            if sensors:
                lines.append(f"  sensors:       {sensors}")
            if link:
                lines += [
                    f"  sign in now:   {public}/#link={link.code}",
                    f"                 (as {link.name}; works once, for {LINK_MINUTES} minutes)",
                ]
            with suppress(BrokenPipeError):  # the reader closed it: `potoo serve | head -1`
                typer.echo("\n".join([*lines, ""]))

        # A password from the settings needs no link, nor does a log that others read.
        is_watched = sys.stdout.isatty() and _is_loopback(settings.host)
        link = make_link(settings) if welcome.password or is_watched else None

        with (
            _grpc_port(settings) as (settings, address),
            _sensor_ports(settings) as (settings, sensors),
        ):
            run(_make_app, settings, on_ready)


def _is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the server."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextmanager
def _grpc_port(settings: Settings) -> Iterator[tuple[Settings, str]]:
    """Reserve the gRPC port, if enabled; return the settings with its number, and the address."""
    if settings.grpc_port is None:
        yield settings, ""
        return
    from service.transport.grpc.server.listening import reserved, target

    with reserved(settings.host, settings.grpc_port) as port:
        yield settings.model_copy(update={"grpc_port": port}), target(settings.host, port)


@contextmanager
def _sensor_ports(settings: Settings) -> Iterator[tuple[Settings, str]]:
    """Reserve the ports of sensors, if any; return the settings with their numbers, and URLs."""
    if not settings.sensors.has_ports:
        yield settings, ""
        return
    from service.transport.tcp.listening import reserved

    with reserved(settings.host, settings.sensors) as (sensors, urls):
        yield settings.model_copy(update={"sensors": sensors}), ", ".join(urls)


def _make_app(settings: Settings) -> FastAPI:
    """Import the app only in processes that serve: the supervisor of workers does not."""
    # FastAPI would import it, 2.5 MiB, to recognise its models, of which there are none. A value of
    # A module that is None makes the import fail, as on Python 3.14.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
    from service.app import create_app

    return create_app(settings)
