"""Options of ``potoo cameras``, and what they mean in a configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.cli.shared.options import fail, tell
from service.cli.shared.spec_options import NONE, given_values, number, seconds

if TYPE_CHECKING:
    from service.cameras.commands import CameraCommands
    from service.settings import Settings

Result = TypeVar("Result")
_REMOVABLE = ("crop", "model", "motion_threshold", "secret")

NameArgument = Annotated[str, typer.Argument(help="Name of the camera.", metavar="NAME")]
UrlOption = Annotated[
    str,
    typer.Option(help="http(s):// snapshot or MJPEG, rtsp(s)://, file:///path or usb:0."),
]
NewUrlOption = Annotated[str | None, typer.Option("--url", help="New URL; see add.")]
EveryOption = Annotated[
    str | None, typer.Option(help="Interval of frames, such as 500ms or 10s.", show_default="1s")
]
CropOption = Annotated[
    str | None,
    typer.Option(
        help="Part that is classified: x,y,width,height in fractions; or none.", show_default="none"
    ),
]
ModelOption = Annotated[
    str | None, typer.Option(help="Name of the model; or none.", show_default="the default model")
]
MotionOption = Annotated[
    str | None,
    typer.Option(
        help="Classify only after motion of so many grey levels, such as 2; or none.",
        show_default="none",
    ),
]
StillOption = Annotated[
    str | None,
    typer.Option(help="Without motion, classify at least this often.", show_default="60s"),
]
AgreeOption = Annotated[
    str | None,
    typer.Option(help="Frames of the last ones that must agree on a state.", show_default="2/3"),
]
SilentOption = Annotated[
    str | None, typer.Option(help="Silent after so long without a frame.", show_default="30s")
]
SecretOption = Annotated[
    str | None,
    typer.Option(help="File in the folder cameras.secrets_dir that holds user:password; or none."),
]
UserOption = Annotated[str | None, typer.Option("--username", help="User of the camera.")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


def spec_values(
    *,
    every: str | None,
    crop: str | None,
    model: str | None,
    motion: str | None,
    still: str | None,
    agree: str | None,
    enter_score: float | None,
    leave_score: float | None,
    silent_after: str | None,
    secret: str | None,
    username: str | None,
    password_stdin: bool,
) -> dict[str, Any]:
    """Return the given members of a ``CameraSpec``; exit with a message if one is malformed."""
    values = {
        "every_seconds": every and seconds(every),
        "crop": crop and (NONE if crop == NONE else _crop(crop)),
        "model": model,
        "motion_threshold": motion and (NONE if motion == NONE else number(motion, "--motion")),
        "still_seconds": still and seconds(still),
        "enter_score": enter_score,
        "leave_score": leave_score,
        "silent_after_seconds": silent_after and seconds(silent_after),
        "secret": secret,
        "username": username,
    }
    given = given_values(values, agree, _REMOVABLE)
    if password_stdin:
        given["password"] = sys.stdin.readline().rstrip("\r\n")
    return given


def _crop(text: str) -> dict[str, float]:
    names = ("x", "y", "width", "height")
    parts = text.split(",")
    if len(parts) != len(names):
        fail("--crop is x,y,width,height in fractions, such as 0.2,0.1,0.6,0.8")
    return {name: number(part, "--crop") for name, part in zip(names, parts, strict=True)}


def check_model(settings: Settings, name: str | None) -> None:
    """Exit with a message if a model is not in the repository; warn if there is none yet."""
    from service.core.repository.repository import Repository

    models = settings.models
    if name is None:
        return
    if not models.exists():
        tell(f"there is no model repository {models} yet: whether it will have {name} is unknown")
    elif name not in Repository(models).names():
        fail(f"model: there is no model '{name}' in {models} (POTOO_MODELS names another folder)")


def with_cameras(
    settings: Settings,
    use: Callable[[CameraCommands], Coroutine[Any, Any, Result]],
    *,
    must_exist: bool = True,
) -> Result:
    """Open the store, run ``use`` and close it; exit with a message if there is no store."""
    from service.cameras.commands import camera_commands
    from service.cli.identity.accounts import with_identity

    return with_identity(
        settings,
        lambda identity: use(camera_commands(settings, identity.database, identity.audit)),
        must_exist=must_exist,
    )
