"""Calibrate one model: compare settings in trials, then search for the knee."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from observability.metrics.memory import memory_available
from schemas.operator_error import OperatorError
from service.calibrate import load, search, trial
from service.core.repository import serving_policy
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.version_files import read_manifest
from service.core.serving.calibration import Calibrated, Knee
from service.core.settings import RunSettings
from service.settings import Settings

IMAGES_PER_THREAD = 8
"""In flight per thread while settings are compared: enough to keep all threads busy."""
DELAY_MS = 2.0
MEASURE_SHARE = 0.5
"""Duration of a comparing measurement, as a share of one for the knee."""

SERVERS = 2
"""Servers that run at once while settings are compared."""
SERVER_BYTES = 300 * 2**20
"""Memory of a loaded server without its model."""
MODEL_FACTOR = 3
"""Memory of a loaded model, as a multiple of its files: weights, packed weights, activations."""

Say = Callable[[str], None]


class NotEnoughMemory(OperatorError):
    """The trial servers do not fit into the free memory."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings under trial."""

    workers: int
    run: RunSettings

    def __str__(self) -> str:
        batch = self.run.batch_policy.max_batch_size
        delay = self.run.max_queue_delay_ms
        waiting = f", waiting {delay:g} ms for company" if delay else ""
        return f"{self.workers} threads, batches of {batch}{waiting}"

    def having(self, workers: int | None = None, **run: object) -> Choice:
        """Return a copy with the given values replaced."""
        values = {name: getattr(self.run, name) for name in self.run.model_fields_set} | run
        return Choice(workers or self.workers, RunSettings.model_validate(values))


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """A calibration to run. ``objective``: p95 in seconds; ``seconds``: of one measurement."""

    settings: Settings
    model: str
    image: bytes
    objective: float
    seconds: float


def calibrate(job: CalibrationPlan, say: Say) -> tuple[int, Calibrated]:
    """Return threads for the pool, and the calibration of the model. Takes minutes; blocks.

    Settings that the user has set are kept; only the others are tried.

    Raises:
        TrialFailed, TooSlow, ModelRefused, NotEnoughMemory: with a message for the user.
        Unsupported: the model takes no images, or gives no labels.
    """
    folder = _folder(job)
    manifest = read_manifest(folder)
    _ = manifest.image_input
    manifest.require_labels()
    require_memory(folder, memory_available())
    best = _best(job, say)
    say(f"{best}: looking for the knee")
    with trial.running(_settings(job, best)) as server:
        target = _target(job, server)

        def measure(in_flight: int) -> search.LoadPoint:
            seen = asyncio.run(load.closed_loop(target, in_flight, job.seconds))
            measured = search.LoadPoint(
                seen.per_second, seen.percentile(95), seen.failed / seen.offered
            )
            say(
                f"  {in_flight:>4} in flight: {measured.per_second:7.1f} images/s, "
                f"p95 {measured.p95 * 1000:7.1f} ms"
            )
            return measured

        measure(best.workers)  # warms caches; its figures do not count
        capacity = best.run.queue_capacity
        found = search.find_knee(measure, job.objective, capacity, best.workers)
    knee = Knee(
        in_flight=found.in_flight, images_per_second=found.per_second, p95_ms=found.p95 * 1000
    )
    return best.workers, Calibrated(
        version=manifest.version,
        sha256=manifest.sha256,
        objective_p95_ms=job.objective * 1000,
        knee=knee,
        run=_found(job, best),
    )


def require_memory(folder: Path, available: int) -> None:
    """Refuse to calibrate if memory is too small.

    Args:
        folder: of the model's version.
        available: bytes left in the control group and the machine.

    Raises:
        NotEnoughMemory: the message names what is needed and what is left.
    """
    model = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    needed = SERVERS * (SERVER_BYTES + MODEL_FACTOR * model)
    if available < needed:
        message = (
            f"calibrating takes about {needed >> 20} MiB of memory, and {available >> 20} MiB are "
            "left here: stop the server that runs beside it, or raise the memory limit"
        )
        raise NotEnoughMemory(message)


def _found(job: CalibrationPlan, best: Choice) -> RunSettings:
    """Return the settings found here, without those that the user set in the configuration."""
    own = job.settings.inference.of(job.model).model_fields_set
    values = {name: getattr(best.run, name) for name in best.run.model_fields_set - own}
    return RunSettings.model_validate(values)


def _best(job: CalibrationPlan, say: Say) -> Choice:
    """Return the fastest settings; the defaults if none are faster."""
    inference = job.settings.inference
    best = Choice(inference.threads(), inference.of(job.model))
    if not inference.workers:
        best = _try(job, best, best.having(workers=best.workers + 1), say)
    if "max_batch_size" in best.run.model_fields_set:
        return best
    before = best
    sizes = (4, 8, 16) if best.run.provider.runs_on_cpu else (1, 8, 32, 64)
    for size in sizes:
        other = _try(job, best, best.having(max_batch_size=size), say)
        if other is best and best.run.provider.runs_on_cpu:
            break  # if batches of 4 are no faster, 8 are not either
        best = other
    if best is not before and "max_queue_delay_ms" not in best.run.model_fields_set:
        best = _try(job, best, best.having(max_queue_delay_ms=DELAY_MS), say)
    return best


def _try(job: CalibrationPlan, known: Choice, new: Choice, say: Say) -> Choice:
    """Return the new choice if it is worth it. Both run at once and are loaded in turns."""
    seconds = max(1.0, MEASURE_SHARE * job.seconds)
    in_flight = IMAGES_PER_THREAD * max(known.workers, new.workers)
    with ExitStack() as stack:

        def throughput(choice: Choice) -> Callable[[], float]:
            server = stack.enter_context(trial.running(_settings(job, choice)))
            target = _target(job, server)

            def measured() -> float:
                return asyncio.run(load.closed_loop(target, in_flight, seconds)).per_second

            measured()
            return measured

        found = search.compare(throughput(known), throughput(new))
    if found.is_noisy:
        verdict = "too noisy to decide, so not taken; stop other work and calibrate again"
    else:
        verdict = "taken" if found.is_better else "not worth it"
    say(f"{new}: {found.ratio - 1:+.0%} (±{found.noise:.0%}) against {known}: {verdict}")
    return new if found.is_better else known


def _settings(job: CalibrationPlan, choice: Choice) -> Settings:
    inference = job.settings.inference.model_copy(
        update={"workers": choice.workers, "models": {job.model: choice.run}}
    )
    return job.settings.model_copy(update={"inference": inference})


def _target(job: CalibrationPlan, server: trial.Trial) -> load.Target:
    url = f"{server.url}/v1/classify?model={job.model}"
    return load.Target.post(url, job.image, "application/octet-stream", server.token)


def _folder(job: CalibrationPlan) -> Path:
    """Return the folder of the model's default version."""
    repository = Repository(job.settings.models)
    versions = repository.versions(job.model)
    answers = serving_policy.target(repository.policy(job.model), versions)
    if answers is None:
        raise ModelRefused(f"the policy of the model '{job.model}' serves no version")
    return versions[answers]
