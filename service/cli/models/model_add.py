"""``potoo models add``: add an ONNX file as a version of a model, or try it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.manifest.model_input import Colour
from schemas.manifest.model_output import LabelKind
from service.cli.models.model_import import (
    DescriptionOption,
    GoldenOption,
    LabelsOption,
    LicenceOption,
    LikeOption,
    NameOption,
    OutputOption,
    SizeOption,
    SourceOption,
    VersionOption,
    add_model,
)
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    fail,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from service.modeltools.importing.importing import ImportOptions
    from service.settings import Settings

ColourOption = Annotated[
    Colour | None,
    typer.Option(
        help="Order of the channels, instead of the preset's.",
        case_sensitive=False,
        show_default=False,
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        help="Factor for pixels of 0..255, such as 1/255. With --scale, --mean or --std, --like "
        "may be omitted.",
        metavar="NUMBER",
        show_default=False,
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        help="Subtracted after scaling: one number, or one per channel in the order of --colour, "
        "such as 104,117,123.",
        metavar="NUMBERS",
        show_default=False,
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(
        help="Divisor after the subtraction: one number, or one per channel.",
        metavar="NUMBERS",
        show_default=False,
    ),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        help="squash, crop (the centre), or crop:256 (scale the shorter side to 256, then crop).",
        metavar="HOW",
        show_default=False,
    ),
]
KindOption = Annotated[
    LabelKind | None,
    typer.Option(help="Meaning of the output.", show_default="found by running it"),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Multi-label models: least score of a label that is present.",
        show_default="0.5",
    ),
]


def add(
    file: Annotated[Path, typer.Argument(help="The ONNX model.", exists=True, dir_okay=False)],
    name: NameOption,
    labels: LabelsOption,
    like: LikeOption = None,
    colour: ColourOption = None,
    scale: ScaleOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    resize: ResizeOption = None,
    version: VersionOption = None,
    size: SizeOption = None,
    output: OutputOption = None,
    kind: KindOption = None,
    threshold: ThresholdOption = None,
    description: DescriptionOption = "",
    licence: LicenceOption = "",
    source: SourceOption = "",
    golden: GoldenOption = None,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Keep the present default version.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Add nothing; show each preset's results for --try and --golden."
        ),
    ] = False,
    tried: Annotated[
        list[str] | None,
        typer.Option("--try", help="A photo for --dry-run. Repeatable.", metavar="PHOTO[=LABEL]"),
    ] = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Add an ONNX file as a version of a model, with a manifest derived from its graph.

    The version is checked before it is published. Read the assumptions that are printed.
    """
    with plain_errors():
        from service.modeltools.importing.importing import ImportOptions
        from service.modeltools.importing.preparation import Overrides

        if tried and not dry_run:
            fail("--try needs --dry-run; use --golden to store and check photos")
        wanted = ImportOptions(
            name=name,
            labels=labels,
            like=like,
            pixels=Overrides(colour, scale, mean, std, resize),
            version=version,
            size=size,
            output=output,
            kind=kind,
            threshold=threshold,
            description=description,
            licence=licence,
            source=source,
            golden=tuple(golden or ()),
            no_promote=no_promote,
        )
        settings = settings_with_models(config, models=models)
        if dry_run:
            _show(settings, file, wanted, tuple(tried or ()))
        else:
            add_model(settings, file, wanted)


def _show(settings: Settings, file: Path, wanted: ImportOptions, tried: tuple[str, ...]) -> None:
    from service.modeltools.importing.dry_run import dry_run, table

    made = dry_run(file, wanted, tried, settings.limits.of_images)
    for sentence in made.unsure:
        typer.echo(f"note: {sentence}")
    for line in table(made.trials):
        typer.echo(line)
    is_asked = any(trial.is_asked for trial in made.trials)
    then = "* marks the requested preprocessing" if is_asked else "choose a preset with --like"
    typer.echo(f"nothing was added; {then}")
