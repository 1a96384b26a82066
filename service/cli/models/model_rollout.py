"""``potoo models`` shadow, canary and end-rollout: try a version beside the default one."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from service.cli.models.changing import open_control
from service.cli.models.model_list import NameArgument
from service.cli.models.model_versions import VersionArgument
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    acting_user,
    fail,
    plain_errors,
    settings_with_models,
)

PromoteAfterOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="ANSWERS",
        help="Promote it after so many answers, if nothing speaks against it.",
        show_default="a person decides",
    ),
]
MinAnswersOption = Annotated[
    int, typer.Option(min=1, metavar="ANSWERS", help="Answers before it is judged.")
]


def shadow(
    name: NameArgument,
    version: VersionArgument,
    share: Annotated[str, typer.Option(help="Share of calls that may be copied to it.")] = "100%",
    min_answers: MinAnswersOption = 50,
    max_disagreement: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="End it if more of its answers differ, such as 20%.",
            show_default="not judged",
        ),
    ] = None,
    promote_after: PromoteAfterOption = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a version answer copies of calls; nobody sees its answers.

    Running servers apply it within seconds. It ends by itself if the version fails, or promotes the
    version if --promote-after says so.
    """
    limit = None if max_disagreement is None else _share(max_disagreement, "--max-disagreement")
    rules = {
        "min_answers": min_answers,
        "max_disagreement": limit,
        "promote_after": promote_after,
    }
    options = {"mode": "shadow", "share": _share(share, "--share"), "rules": rules}
    _begin(name, version, options, models, config)


def canary(
    name: NameArgument,
    version: VersionArgument,
    share: Annotated[str, typer.Option(help="Share of callers that it answers.")] = "10%",
    min_answers: MinAnswersOption = 50,
    promote_after: PromoteAfterOption = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a version answer a share of the callers: the same ones until it ends.

    Running servers apply it within seconds. It ends by itself if the version fails more often, or
    more of its answers are labelled otherwise.
    """
    rules = {"min_answers": min_answers, "promote_after": promote_after}
    options = {"mode": "canary", "share": _share(share, "--share"), "rules": rules}
    _begin(name, version, options, models, config)


def end_rollout(
    name: NameArgument,
    *,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make the version the default one.")
    ] = False,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """End the trial of a version; the default version stays, unless --promote is given."""
    with plain_errors():
        from schemas.rollout import RolloutEnd

        settings = settings_with_models(config, models=models)
        reason = RolloutEnd.PROMOTED if promote else RolloutEnd.STOPPED
        with open_control(settings) as control:
            if not asyncio.run(control.end_rollout(name, reason=reason, by=acting_user())):
                fail(f"no version of '{name}' is being tried")
        typer.echo(f"{name}: the rollout ended{': promoted' if promote else ''}")


def _begin(
    name: str,
    version: int,
    options: dict[str, object],
    models: ModelsOption,
    config: ConfigOption,
) -> None:
    with plain_errors():
        from schemas.rollout import RolloutOptions

        settings = settings_with_models(config, models=models)
        given = RolloutOptions.model_validate({**options, "version": version})
        with open_control(settings) as control:
            rollout = asyncio.run(control.begin_rollout(name, given, by=acting_user()))
        what = "callers" if options["mode"] == "canary" else "calls"
        typer.echo(
            f"{name}: version {version} is a {rollout.mode} for {rollout.share:.0%} of {what}"
        )


def _share(text: str, option: str) -> float:
    """Return a share that is given as 10% or 0.1."""
    number = text.removesuffix("%")
    try:
        share = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        fail(f"{option} takes a share above 0 and up to 1, such as 10% or 0.1, not '{text}'")
    return share
