"""``potoo cameras add``, ``change``, ``pause``, ``resume`` and ``remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from service.cli.cameras.options import (
    AgreeOption,
    CropOption,
    EveryOption,
    ModelOption,
    MotionOption,
    NameArgument,
    NewUrlOption,
    PasswordOption,
    SecretOption,
    SilentOption,
    StillOption,
    UrlOption,
    UserOption,
    check_model,
    spec_values,
    with_cameras,
)
from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
)
from service.cli.shared.spec_options import (
    EnterOption,
    LeaveOption,
    checked,
    remove_named,
    set_paused,
)

if TYPE_CHECKING:
    from service.cameras.commands import CameraCommands


def add(
    name: NameArgument,
    url: UrlOption,
    every: EveryOption = None,
    crop: CropOption = None,
    model: ModelOption = None,
    motion: MotionOption = None,
    still: StillOption = None,
    agree: AgreeOption = None,
    enter_score: EnterOption = None,
    leave_score: LeaveOption = None,
    silent_after: SilentOption = None,
    secret: SecretOption = None,
    username: UserOption = None,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a camera.

    A user and password in the URL are stored encrypted; --password-stdin keeps them out of the
    history of the shell.
    """
    with plain_errors():
        from schemas.cameras import NewCamera
        from service.cli.shared.service_settings import account_settings

        values = spec_values(
            every=every,
            crop=crop,
            model=model,
            motion=motion,
            still=still,
            agree=agree,
            enter_score=enter_score,
            leave_score=leave_score,
            silent_after=silent_after,
            secret=secret,
            username=username,
            password_stdin=password_stdin,
        )
        new = checked(NewCamera, {**values, "name": name, "url": url})
        settings = account_settings(config, data_dir)
        check_model(settings, new.model)
        added = with_cameras(
            settings,
            lambda cameras: cameras.administration.add(new, by=acting_user()),
            must_exist=False,
        )
        typer.echo(f"added {name}: {added.spec.url}")


def change(
    name: NameArgument,
    url: NewUrlOption = None,
    every: EveryOption = None,
    crop: CropOption = None,
    model: ModelOption = None,
    motion: MotionOption = None,
    still: StillOption = None,
    agree: AgreeOption = None,
    enter_score: EnterOption = None,
    leave_score: LeaveOption = None,
    silent_after: SilentOption = None,
    secret: SecretOption = None,
    username: UserOption = None,
    password_stdin: PasswordOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Change what is given of a camera's configuration; the rest stays as it is.

    Its credentials stay while the URL has the same scheme, host and port.
    """
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        values = spec_values(
            every=every,
            crop=crop,
            model=model,
            motion=motion,
            still=still,
            agree=agree,
            enter_score=enter_score,
            leave_score=leave_score,
            silent_after=silent_after,
            secret=secret,
            username=username,
            password_stdin=password_stdin,
        )
        if url is not None:
            values["url"] = url
        if not values:
            fail("nothing to change: give an option")
        settings = account_settings(config, data_dir)
        check_model(settings, values.get("model"))
        with_cameras(settings, lambda cameras: _change(cameras, name, values))
        typer.echo(f"changed {name}")


async def _change(cameras: CameraCommands, name: str, values: dict[str, Any]) -> None:
    from schemas.cameras import CameraSpec

    stored = await cameras.administration.get(name)
    before = stored.spec.model_dump(exclude={"username", "password"})
    spec = checked(CameraSpec, {**before, **values})
    await cameras.administration.change(name, spec, by=acting_user())


def pause(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Stop watching a camera; its state stays."""
    set_paused(with_cameras, name, config, data_dir, is_paused=True)


def resume(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Watch a paused camera again."""
    set_paused(with_cameras, name, config, data_dir, is_paused=False)


def remove(name: NameArgument, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Remove a camera and its events."""
    remove_named(with_cameras, name, config, data_dir)
