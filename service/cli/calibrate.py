"""``potoo calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.models.model_list import default_in, names_in, repository_of
from service.cli.shared.options import (
    ConfigOption,
    DataDirOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
)


def calibrate(
    model: Annotated[
        str | None, typer.Argument(help="Name of the model.", show_default="the default model")
    ] = None,
    slo_p95_ms: Annotated[
        float, typer.Option(min=1, max=600_000, help="Latency objective (p95) in milliseconds.")
    ] = 200,
    image: Annotated[
        Path | None,
        typer.Option(
            help="A typical photo.",
            show_default="a generated one of 500 x 375 pixels",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0.5, max=120, help="Duration of each measurement; longer is steadier."),
    ] = 4,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File for the autoscaling thresholds, such as deploy/autoscaling.yaml.",
            show_default="beside the calibration",
        ),
    ] = None,
    models: ModelsOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure this machine for a few minutes: find its best settings and its capacity.

    Starts its own servers on 127.0.0.1; accounts are not touched. The next start on this kind of
    machine uses the settings found, unless you set others. Stop other work meanwhile.
    """
    with plain_errors():
        from schemas.errors import ModelNotChosen
        from service.calibrate import photo
        from service.calibrate.calibrate import CalibrationPlan
        from service.calibrate.calibrate import calibrate as find
        from service.calibrate.thresholds import as_yaml
        from service.core.serving.calibration import (
            calibration_file,
            keep_calibration,
            this_machine,
        )

        settings = settings_with_models(config, models=models, data_dir=data_dir)
        repository = repository_of(settings)
        name = model or default_in(settings, repository)
        if name is None:
            raise ModelNotChosen(names_in(repository))
        data = image.read_bytes() if image else photo.jpeg()
        machine = this_machine()
        typer.echo(f"calibrating {name} on {machine.cores} cores of {machine.processor}", err=True)
        job = CalibrationPlan(settings, name, data, slo_p95_ms / 1000, seconds)
        workers, found = find(job, lambda line: typer.echo(line, err=True))
        kept = keep_calibration(settings.data_dir, workers, name, found)
        path = output or calibration_file(settings.data_dir).with_name(f"{name}-autoscaling.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_yaml(name, found, machine, workers))
        knee = found.knee
        typer.echo(
            f"capacity C = {knee.in_flight} images in flight at the knee: "
            f"{knee.images_per_second:.0f} images/s, p95 {knee.p95_ms:.0f} ms "
            f"(objective {slo_p95_ms:g} ms)\n"
            f"saved in {kept}: used from the next start on\n"
            f"autoscaling thresholds in {path}"
        )
