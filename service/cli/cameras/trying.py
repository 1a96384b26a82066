"""``potoo cameras test``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.cameras.options import NameArgument, with_cameras
from service.cli.shared.answer_lines import prediction_lines, summary_line
from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors

if TYPE_CHECKING:
    from schemas.cameras import CameraSpec
    from service.cameras.commands import CameraCommands
    from service.core.imaging.answer import Classification, ModelRef
    from service.settings import Settings

BEST = 3


def try_camera(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option("--out", help="Write the frame to this file.")] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Fetch one frame of a camera now, classify the part, and print the answer."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        settings = account_settings(config, data_dir)
        spec, frame = with_cameras(settings, lambda cameras: _fetch(cameras, name))
        typer.echo(f"{name}: {len(frame)} bytes from {spec.url}")
        if out is not None:
            out.write_bytes(frame)
        ref, answer = asyncio.run(_classify(settings, spec, frame))
        typer.echo(f"{ref.name} {ref.version}: {summary_line(answer)}")
        for line in prediction_lines(answer.predictions):
            typer.echo(line)


async def _fetch(cameras: CameraCommands, name: str) -> tuple[CameraSpec, bytes]:
    stored = await cameras.administration.get(name)
    return stored.spec, await cameras.fetcher.fetch(stored.spec, stored)


async def _classify(
    settings: Settings, spec: CameraSpec, frame: bytes
) -> tuple[ModelRef, Classification]:
    from observability.metrics.metrics import Metrics
    from service.cameras.pipeline.pictures import prepare
    from service.cameras.watching.classifying import PROTOCOL
    from service.core.scheduling.call_context import CallContext
    from service.runtime.runtime import open_classifier, open_pool

    with open_pool(settings) as pool:
        async with open_classifier(settings, pool, Metrics()) as classifier:
            ticket = classifier.issue_ticket(spec.model, None, CallContext("", 1, PROTOCOL))
            part = prepare(frame, spec.crop, settings.limits.of_images, has_gate=False)
            return await classifier.classify(part.image, ticket, top_k=BEST)
