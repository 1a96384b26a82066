"""Settings ``[inference]``: how models are run, in general and for single models."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.models import ModelName
from service.core.engine.pool import usable_cores
from service.core.engine.providers import Precision, Provider
from service.core.imaging.resizers import Resizer, ResizerMissing, best_resizer, check_resizer
from service.core.scheduling.batch_policy import BatchPolicy

ACCELERATOR_BATCH = 16
BatchSize = Annotated[int, Field(ge=1, le=1024)]


class RunSettings(BaseModel):
    """Settings that may differ between models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider = Field(
        default=Provider.CPU, description="what runs models: cpu, openvino, cuda, tensorrt"
    )
    precision: Precision = Field(
        default=Precision.F32, description="numbers that OpenVINO computes in: f32, bf16"
    )
    provider_options: dict[str, str] = Field(
        default={}, description='handed to the provider, such as { device_id = "1" }'
    )
    threads_per_run: int = Field(
        default=1, ge=1, le=256, description="cores that one run of a model may use"
    )
    threads_alone: int = Field(
        default=0, ge=0, le=256, description="cores for an image that is alone; 0: all, 1: one"
    )
    max_batch_size: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="images or windows run together; 0: 1 image on CPUs, which is best, else 16",
    )
    preferred_batch_sizes: tuple[BatchSize, ...] = Field(
        default=(), description="batches of these sizes do not wait for more, such as [4, 8]"
    )
    max_queue_delay_ms: float = Field(
        default=0, ge=0, le=1000, description="wait for batch-mates; 0: never wait"
    )
    queue_capacity: int = Field(
        default=256, ge=1, le=100_000, description="images a model holds before it refuses"
    )

    @property
    def batch_policy(self) -> BatchPolicy:
        """These settings as the policy of a batcher; delays in seconds."""
        automatic = 1 if self.provider.runs_on_cpu else ACCELERATOR_BATCH
        return BatchPolicy(
            max_batch_size=self.max_batch_size or automatic,
            preferred_batch_sizes=self.preferred_batch_sizes,
            max_queue_delay=self.max_queue_delay_ms / 1000,
            queue_capacity=self.queue_capacity,
        )


class DriftSettings(BaseModel):
    """Group ``[drift]``: when answers have drifted from their reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="record how answers are spread")
    window_seconds: float = Field(
        default=86_400, ge=60, le=30 * 86_400, description="length of the window that is compared"
    )
    min_answers: int = Field(
        default=200, ge=10, le=1_000_000, description="answers before a verdict is given"
    )
    reference_answers: int = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        description="first answers that are the reference of a version that was not taught",
    )


class InferenceSettings(RunSettings):
    """Settings of all models, with overrides for single models."""

    workers: int = Field(
        default=0, ge=0, le=1024, description="threads that decode and run; 0: one a core"
    )
    resizer: Resizer = Field(
        default_factory=best_resizer,
        description="bilinear resizing: cykooz-resizer (SIMD) where it is installed, else pillow",
    )
    default_timeout_ms: int = Field(
        default=10_000, ge=1, le=600_000, description="for requests that name none"
    )
    canary_interval_seconds: float = Field(
        default=10, gt=0, description="between looks at whether a model still answers right"
    )
    models: dict[ModelName, RunSettings] = Field(
        default={}, description="other settings for one model: [inference.models.NAME]"
    )

    @field_validator("resizer")
    @classmethod
    def _is_usable(cls, resizer: Resizer) -> Resizer:
        try:
            check_resizer(resizer)
        except ResizerMissing as error:
            raise ValueError(str(error)) from error
        return resizer

    def of(self, model: str, found: RunSettings | None = None) -> RunSettings:
        """Return the settings of one model.

        Args:
            found: those ``potoo calibrate`` found for it; they override only defaults.
        """
        values: dict[str, object] = {}
        for layer in (found, self, self.models.get(model)):
            if layer is not None:
                values |= {
                    name: getattr(layer, name)
                    for name in RunSettings.model_fields
                    if name in layer.model_fields_set
                }
        return RunSettings.model_validate(values)

    def threads(self, found: int | None = None) -> int:
        """Return the size of the worker pool: as set, as calibrated, or one thread a core."""
        return self.workers or found or usable_cores()
