"""``potoo scalers list`` and ``show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from service.cli.scalers.options import NameArgument, VersionOption
from service.cli.shared.options import (
    ConfigOption,
    ModelsOption,
    plain_errors,
    settings_with_models,
)

if TYPE_CHECKING:
    from pathlib import Path

    from service.preprocess.scalers.catalogue import ScalerCatalogue


def list_scalers(models: ModelsOption = None, config: ConfigOption = None) -> None:
    """List the scalers: name, version, kind, imputation, columns, rows, description."""
    with plain_errors():
        for one in _catalogue(config, models).list():
            typer.echo(
                f"{one.name}\t{one.version}\t{one.kind}\t{one.impute}\t{len(one.columns)} columns"
                f"\t{one.rows} rows\t{one.description}".rstrip()
            )


def show(
    name: NameArgument,
    version: VersionOption = None,
    models: ModelsOption = None,
    config: ConfigOption = None,
) -> None:
    """Print a scaler as JSON: its columns, what it was fitted to, its versions."""
    with plain_errors():
        typer.echo(_catalogue(config, models).get(name, version).model_dump_json(indent=2))


def _catalogue(config: Path | None, models: Path | None) -> ScalerCatalogue:
    from service.core.repository.repository import Repository
    from service.preprocess.scalers.catalogue import ScalerCatalogue

    return ScalerCatalogue(Repository(settings_with_models(config, models=models).models))
