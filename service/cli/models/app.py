"""``potoo models``: manage the model repository and the default version of each model."""

from __future__ import annotations

import typer

from service.cli.models import (
    model_add,
    model_build,
    model_default,
    model_evaluate,
    model_list,
    model_optimise,
    model_pull,
    model_rollout,
    model_versions,
)

app = typer.Typer(help="Add, check and choose the models of a repository.", no_args_is_help=True)

app.command("add")(model_add.add)
app.command("build")(model_build.build)
app.command("pull")(model_pull.pull)
app.command("catalogue")(model_pull.catalogue)
app.command("list")(model_list.list_models)
app.command("show")(model_list.show)
app.command("default")(model_default.default)
app.command("evaluate")(model_evaluate.evaluate)
app.command("calibrate")(model_evaluate.calibrate)
app.command("optimise")(model_optimise.optimise)
app.command("verify")(model_versions.verify)
app.command("promote")(model_versions.promote)
app.command("rollback")(model_versions.rollback)
app.command("shadow")(model_rollout.shadow)
app.command("canary")(model_rollout.canary)
app.command("end-rollout")(model_rollout.end_rollout)
app.command("remove")(model_versions.remove)
