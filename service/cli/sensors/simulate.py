"""``potoo sensors simulate``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.shared.options import fail, plain_errors
from service.cli.shared.percent import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from client.sensors import SensorClient
    from client.sensors.tokens import TokenSource
    from schemas.sensors import SensorAnswer

DEFAULT_SERVER = "tcp://127.0.0.1:7700"
CONNECT_SECONDS = 20.0
PART_SECONDS = 0.05
"""Samples are sent that often."""
PART_NUMBERS = 65_536
"""Numbers that are sent at a time if there is no rate."""
ANSWER_SECONDS = 30.0
"""For answers after the last sample."""
QUIET_SECONDS = 3.0
"""Without an answer, after which the rest of the samples is less than a window."""
INTERRUPTED = 130


@dataclass
class _Run:
    """Results of a run.

    Attributes:
        seen: answers by label; None: the model abstained.
        scores: sums of their scores.
    """

    samples: int = 0
    seen: Counter[str | None] = field(default_factory=Counter)
    scores: defaultdict[str | None, float] = field(default_factory=lambda: defaultdict(float))
    began: float = 0.0

    def take(self, answer: SensorAnswer) -> None:
        """Count an answer."""
        self.seen[answer.label] += 1
        self.scores[answer.label] += answer.score or 0.0


def simulate(
    file: Annotated[
        Path,
        typer.Argument(
            help="Recorded samples: CSV (a header is left out), .npy of shape (n, channels) or "
            "(windows, length, channels), or .npz.",
            metavar="FILE",
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the sensor.")],
    server: Annotated[
        str,
        typer.Option(
            help="tcp://HOST:PORT, tcps://HOST:PORT (TLS), or an MQTT broker: "
            "mqtt://USER:PASSWORD@HOST:PORT/TOPIC, mqtts://..."
        ),
    ] = DEFAULT_SERVER,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Samples a second.", show_default="as fast as the server answers"
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(min=0.001, help="Send so many times as fast as --rate says; times are its."),
    ] = 1.0,
    loops: Annotated[
        bool, typer.Option("--loop", help="Begin again at the end, until interrupted.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="Array of an .npz file.", show_default="windows")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Access token with the scope ingest.", envvar="POTOO_TOKEN", show_envvar=True
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token; read again when it expires.")
    ] = None,
) -> None:
    """Send recorded samples to a server as a device does, and show the answers.

    Ends when all windows are answered: exit status 0, or 1 if the server refused or did not
    answer. Ctrl-C prints the table of the answers so far, exit status 130.

    Example: potoo sensors simulate bearing.npy --name pump-3 --rate 48000 --speed 10
    """
    with plain_errors():
        from service.cli.sensors.recordings import read_recording

        samples = read_recording(file, key)
        source = token_file or token
        run = _Run()
        try:
            asyncio.run(_simulate(run, samples, server, name, source, _Pace(rate, speed, loops)))
        except KeyboardInterrupt:
            _print(run)
            raise typer.Exit(INTERRUPTED) from None
        _print(run)


@dataclass(frozen=True, slots=True)
class _Pace:
    """``rate``: None for as fast as the server answers."""

    rate: float | None
    speed: float
    loops: bool

    @property
    def per_second(self) -> float | None:
        return None if self.rate is None else self.rate * self.speed


async def _simulate(
    run: _Run,
    samples: NDArray[np.float32],
    server: str,
    name: str,
    token: TokenSource | None,
    pace: _Pace,
) -> None:
    from client.sensors import SensorClient, SensorClientError, Timing

    with tempfile.TemporaryDirectory(prefix="potoo-simulate-") as folder:
        try:
            client = SensorClient(
                server,
                name,
                channels=samples.shape[1],
                queue=Path(folder),
                sync_seconds=None,
                token=token,
                on_result=run.take,
                retries_refusals=False,
                timing=Timing(quiet=QUIET_SECONDS, stall=1.0),
            )
        except ValueError as error:
            fail(str(error))
        try:
            async with client:
                await _connect(client, server)
                run.began = time.monotonic()
                await _replay(run, client, samples, pace)
                if not await client.close(ANSWER_SECONDS):
                    fail(f"the server did not answer in time: {client.status.problem or server}")
                if not client.status.safe:
                    fail("the samples are fewer than a window")
        except SensorClientError as error:
            problem = client.status.problem
            fail(str(problem or error))


async def _connect(client: SensorClient, server: str) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connected()
    except TimeoutError:
        fail(f"no connection with {server}: {client.status.problem}")


async def _replay(
    run: _Run, client: SensorClient, samples: NDArray[np.float32], pace: _Pace
) -> None:
    """Send all samples, at the pace or as fast as they are confirmed."""
    rate = pace.per_second
    if rate is None:
        part = max(1, PART_NUMBERS // samples.shape[1])
    else:
        part = max(1, round(rate * PART_SECONDS))
    began_at, shown = time.time(), 0.0
    while True:
        for first in range(0, len(samples), part):
            values = samples[first : first + part]
            at = None if pace.rate is None else began_at + run.samples / pace.rate
            await client.send(values, at)
            run.samples += len(values)
            if rate is None:
                await client.sent()  # the queue stays short
            else:
                due = run.began + run.samples / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - shown >= 1:
                shown = time.monotonic()
                _show_progress(run, None if pace.loops else len(samples), client)
        if not pace.loops:
            return


def _show_progress(run: _Run, total: int | None, client: SensorClient) -> None:
    if not sys.stderr.isatty():
        return
    seconds = max(time.monotonic() - run.began, 0.001)
    done = f"{run.samples:,} of {total:,}" if total else f"{run.samples:,}"
    state = "" if client.status.is_connected else f", not connected: {client.status.problem}"
    line = (
        f"{done} samples, {run.samples / seconds:,.0f} a second, {run.seen.total()} answers{state}"
    )
    typer.echo(f"\r\x1b[K{line}", nl=False, err=True)


def _print(run: _Run) -> None:
    """Print the answers by label, most frequent first."""
    if sys.stderr.isatty():
        typer.echo("\r\x1b[K", nl=False, err=True)
    seconds = time.monotonic() - run.began if run.began else 0.0
    answers = run.seen.total()
    typer.echo(f"{run.samples:,} samples, {answers:,} windows answered in {seconds:.1f} s")
    if not answers:
        return
    width = max(len(_label(label)) for label in run.seen)
    typer.echo(f"{'label':<{width}}  windows  share   mean score")
    for label, count in run.seen.most_common():
        share, score = percent(count / answers), percent(run.scores[label] / count)
        typer.echo(f"{_label(label):<{width}}  {count:>7}  {share:>6}  {score:>10}")


def _label(label: str | None) -> str:
    return "unknown" if label is None else label
