"""``potoo datasets label``, ``change`` and ``remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    acting_user,
    fail,
    plain_errors,
)
from service.cli.shared.spec_options import checked
from service.cli.teach.datasets.options import NameArgument, with_datasets

if TYPE_CHECKING:
    from service.teach.datasets.opening import Datasets

PhotoArgument = Annotated[str, typer.Argument(help="Id of the photo.", metavar="PHOTO")]


def label(
    name: NameArgument,
    photo: PhotoArgument,
    labels: Annotated[
        list[str] | None,
        typer.Argument(help="Classes of the dataset.", metavar="CLASS..."),
    ] = None,
    is_removed: Annotated[bool, typer.Option("--none", help="Remove the label.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Label a photo.

    Example: potoo datasets label bins 0193f7c2b5a8c1d20e44 glass
    """
    with plain_errors():
        from schemas.teach.dataset import PhotoChange
        from service.cli.shared.service_settings import account_settings

        if is_removed == bool(labels):
            fail("give classes, or --none")
        change = checked(PhotoChange, {"labels": labels or None})
        changed = with_datasets(
            account_settings(config, data_dir),
            lambda datasets: datasets.photo_administration.change(
                name, photo, change, by=acting_user()
            ),
        )
        typer.echo(f"{changed.id}: {', '.join(changed.labels or ()) or 'not labelled'}")


def change(
    name: NameArgument,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="All classes, in order; repeatable."),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW: rename a class, or merge it with another; repeatable."),
    ] = None,
    max_photos: Annotated[int | None, typer.Option(help="Photos that it may have.")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Bytes that they may have.")] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Change the classes or the quotas of a dataset."""
    with plain_errors():
        from schemas.teach.dataset import DatasetChange
        from service.cli.shared.service_settings import account_settings

        values: dict[str, Any] = {
            "classes": classes or None,
            "rename": dict(_pair(one) for one in rename or ()) or None,
            "max_photos": max_photos,
            "max_bytes": max_bytes,
        }
        given = {key: value for key, value in values.items() if value is not None}
        if not given:
            fail("nothing to change")
        new = checked(DatasetChange, given)
        changed = with_datasets(
            account_settings(config, data_dir),
            lambda datasets: datasets.administration.change(name, new, by=acting_user()),
        )
        counts = ", ".join(f"{one.name} {one.photos}" for one in changed.classes)
        typer.echo(f"changed {name}: {counts or 'no classes'}")


def remove(
    name: NameArgument,
    photo: Annotated[
        str | None,
        typer.Option(help="Id of the only photo to remove.", show_default="the whole dataset"),
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove a dataset, or one photo, and what was computed from them. Models stay."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        async def remove_it(datasets: Datasets) -> None:
            if photo is None:
                await datasets.administration.remove(name, by=acting_user())
            else:
                await datasets.photo_administration.remove(name, photo, by=acting_user())

        with_datasets(account_settings(config, data_dir), remove_it)
        typer.echo(f"removed {name if photo is None else photo}")


def _pair(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not sign or not old or not new:
        fail("--rename is OLD=NEW")
    return old, new
