"""Results of ``potoo calibrate``, stored for the next start.

One file per machine in ``<data_dir>/calibration/``: a data folder may be shared by several kinds of
machine, or move to another one, and the best settings differ between machines.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from observability.logs.logging import get_logger
from observability.onnx_runtime import ort
from schemas.models import MANIFEST_FILE, ModelManifest, ModelName, Sha256
from service.core.engine.pool import usable_cores
from service.core.repository.atomic_files import replace_file
from service.core.settings import RunSettings

CALIBRATION_FOLDER = "calibration"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Document):
    """The properties of a machine that affect speed."""

    processor: str
    cores: PositiveInt
    onnxruntime: str

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits, fit for a file name."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class Knee(_Document):
    """The last load that met the objective; ``in_flight``: images running or waiting."""

    in_flight: PositiveInt
    images_per_second: PositiveFloat
    p95_ms: PositiveFloat


class Calibrated(_Document):
    """The result for one model. ``sha256``: of the model file, which may change."""

    version: PositiveInt
    sha256: Sha256
    objective_p95_ms: PositiveFloat
    knee: Knee
    run: RunSettings


class Calibration(_Document):
    """The file of one machine. ``workers``: threads of the pool that all models share."""

    machine: Machine
    workers: PositiveInt
    models: dict[ModelName, Calibrated] = Field(default={})

    def run_settings(self, folder: Path) -> RunSettings | None:
        """Return the settings found for the model file in ``folder``; None if there are none."""
        found = self.models.get(folder.parent.name)
        if found is None:
            return None
        try:
            manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        except (OSError, ValidationError):
            return None  # loading it reports the fault
        return found.run if manifest.sha256 == found.sha256 else None


def find_calibration(data_dir: Path) -> Calibration | None:
    """Read this machine's results; None without a file, or, with a warning, if it is unreadable."""
    path = calibration_file(data_dir)
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        get_logger("calibration").warning(
            "cannot read the calibration: run 'potoo calibrate' again", file=path.name
        )
        return None


def keep_calibration(data_dir: Path, workers: int, model: str, found: Calibrated) -> Path:
    """Add a model's result to this machine's file atomically; return the file.

    Raises:
        OSError: if the file cannot be written.
    """
    before = find_calibration(data_dir)
    models = before.models if before else {}
    made = Calibration(machine=this_machine(), workers=workers, models={**models, model: found})
    path = calibration_file(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, made.model_dump_json(indent=2, exclude_unset=True).encode() + b"\n")
    return path


def calibration_file(data_dir: Path) -> Path:
    """Return the path of this machine's file, whether or not it exists."""
    return data_dir / CALIBRATION_FOLDER / f"{this_machine().fingerprint}.json"


@cache
def this_machine() -> Machine:
    """Return the machine that this process runs on; ``cores``: those it may use."""
    return Machine(processor=_processor(), cores=usable_cores(), onnxruntime=ort.__version__)


def _processor() -> str:
    """Return the processor's name; on Linux ``platform`` does not give it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or os.uname().machine
