"""``potoo cameras list`` and ``show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from service.cli.cameras.options import NameArgument, with_cameras
from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from schemas.cameras import Camera


def list_cameras(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List cameras: name, status, state and since when, URL, and why one fails."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        for camera in with_cameras(settings, lambda cameras: cameras.directory.list()):
            typer.echo(_line(camera))


def show(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Print a camera as JSON, as GET /v1/cameras/NAME returns it."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        camera = with_cameras(settings, lambda cameras: cameras.get(name))
        typer.echo(camera.model_dump_json(indent=2))


def _line(camera: Camera) -> str:
    since = "" if camera.since is None else f" since {camera.since.isoformat(timespec='seconds')}"
    state = f"{camera.state or '-'}{since}"
    line = f"{camera.name}\t{camera.status.value}\t{state}\t{camera.spec.url}"
    if camera.problem is not None:
        line += f"\t{camera.problem.reason.value}: {camera.problem.detail}"
    return line
