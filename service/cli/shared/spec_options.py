"""Shared by ``potoo cameras`` and ``potoo sensors``: options, messages, small changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.cli.shared.options import acting_user, fail, plain_errors

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel, ValidationError

    from service.cameras.commands import CameraCommands
    from service.sensors.commands import SensorCommands
    from service.settings import Settings

    Commands = CameraCommands | SensorCommands
    WithCommands = Callable[[Settings, Callable[[Commands], Coroutine[Any, Any, object]]], object]

Spec = TypeVar("Spec", bound="BaseModel")
NONE = "none"
"""The value of an option that removes what is stored."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}

EnterOption = Annotated[
    float | None,
    typer.Option(help="Score from which a label may become the state.", show_default="0.5"),
]
LeaveOption = Annotated[
    float | None,
    typer.Option(help="The state holds while its label has this score.", show_default="0.35"),
]


def given_values(
    values: dict[str, Any], agree: str | None, removable: Sequence[str]
) -> dict[str, Any]:
    """Return the values that are not None, with those of ``--agree``.

    Args:
        removable: names of the values that ``none`` makes None; others may well be this word.
    """
    if agree:
        values["agree"], values["of"] = agreement(agree)
    given = {name: value for name, value in values.items() if value is not None}
    return given | {name: None for name in removable if given.get(name) == NONE}


def checked(kind: type[Spec], values: dict[str, Any]) -> Spec:
    """Return a configuration of these values; exit with its faults if it is malformed."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fail(explain(error))


def set_paused(
    with_commands: WithCommands,
    name: str,
    config: Path | None,
    data_dir: Path | None,
    *,
    is_paused: bool,
) -> None:
    """Pause or resume a camera or a sensor."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        with_commands(
            account_settings(config, data_dir),
            lambda commands: commands.administration.pause(
                name, is_paused=is_paused, by=acting_user()
            ),
        )
        typer.echo(f"{'paused' if is_paused else 'resumed'} {name}")


def remove_named(
    with_commands: WithCommands, name: str, config: Path | None, data_dir: Path | None
) -> None:
    """Remove a camera or a sensor."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        with_commands(
            account_settings(config, data_dir),
            lambda commands: commands.administration.remove(name, by=acting_user()),
        )
        typer.echo(f"removed {name}")


def seconds(text: str) -> float:
    """Return a duration such as ``500ms``, ``10s`` or ``2m`` in seconds."""
    if not (found := _DURATION.fullmatch(text)):
        fail(f"{text} is no duration: write 500ms, 10s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def agreement(text: str) -> tuple[int, int]:
    """Return the two numbers of an agreement such as ``2/3``."""
    if not (found := re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)):
        fail("--agree is written like 2/3")
    return int(found[1]), int(found[2])


def number(text: str, option: str) -> float:
    """Return a number; ``option``: its name, for the message."""
    try:
        return float(text)
    except ValueError:
        fail(f"{option}: {text} is no number")


def explain(error: ValidationError) -> str:
    """Return the faults of a configuration in one line, without its values."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [
        ": ".join(
            part
            for part in (
                ".".join(map(str, fault["loc"])),
                _words(fault["loc"], fault["msg"]),
            )
            if part
        )
        for fault in faults
    ]
    return "; ".join(lines)


def _words(place: tuple[int | str, ...], message: str) -> str:
    if place == ("name",):
        return "write 1 to 63 small letters, digits, - and _, first a letter or digit"
    return message.removeprefix("Value error, ")
