"""Checks of the machine: disk, files, memory, backups, versions."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from observability.metrics.memory import memory_limit
from service import __version__
from service.backup.keeping import newest
from service.doctor.findings import Finding, Scene, failed, ok, skipped, warning
from service.runtime.identity import KEYS_FOLDER, STORE_FILE

LEAST_FREE_SHARE, ALARM_FREE_SHARE = 0.15, 0.05
BASE_BYTES = 170 * 2**20
"""Memory of an idle server with one small model, as the manifests for Kubernetes say."""
OLD_BACKUP = timedelta(days=2)


def disk(scene: Scene) -> Iterator[Finding]:
    """Look at the free space of the file systems of data and models."""
    seen: set[int] = set()
    for folder in (scene.settings.data_dir, scene.settings.models):
        if not folder.exists() or folder.stat().st_dev in seen:
            continue
        seen.add(folder.stat().st_dev)
        total, _, free = shutil.disk_usage(folder)
        text = f"{folder}: {free / 1e9:.1f} GB of {total / 1e9:.1f} GB are free"
        mend = "remove old models, photos or backups, or enlarge the disk"
        if free < ALARM_FREE_SHARE * total:
            yield failed("disk", text, mend)
        elif free < LEAST_FREE_SHARE * total:
            yield warning("disk", text, mend)
        else:
            yield ok("disk", text)


def permissions(scene: Scene) -> Iterator[Finding]:
    """Look whether others can read secrets of the data folder."""
    data = scene.settings.data_dir
    secrets = [data / STORE_FILE, data / "camera-credentials.key", data / KEYS_FOLDER]
    secrets += sorted((data / KEYS_FOLDER).glob("*"))
    if not data.exists():
        yield failed("data folder", f"there is no {data}", "set data_dir or POTOO_DATA_DIR")
        return
    is_sound = True
    for secret in secrets:
        if secret.exists() and (mode := stat.S_IMODE(secret.stat().st_mode)) & 0o077:
            is_sound = False
            mend = f"chmod {'700' if secret.is_dir() else '600'} {secret}"
            yield failed("data folder", f"{secret} is open to others ({mode:04o})", mend)
    if not os.access(data, os.W_OK):
        is_sound = False
        yield failed("data folder", f"{data} cannot be written", "run as the server's user")
    if is_sound:
        yield ok("data folder", f"{data} is closed to others")


def memory(scene: Scene) -> Iterator[Finding]:
    """Compare the memory limit with what models and uploads may take."""
    models = [file.stat().st_size for file in scene.settings.models.glob("[!.]*/[0-9]*/*.onnx")]
    workers = scene.settings.workers
    # Weights are held about twice: by the file's pages or a copy, and as the engine packs them.
    needed = workers * (BASE_BYTES + 2 * sum(models))
    needed += scene.settings.limits.max_body_bytes_in_flight
    limit = memory_limit()
    text = f"the limit is {limit / 2**20:.0f} MiB; models and uploads may take {needed / 2**20:.0f}"
    if limit < needed:
        mend = (
            "raise the limit, or lower limits.max_body_bytes_in_flight: docs/operating/operator.md"
        )
        yield warning("memory", text, mend)
    else:
        yield ok("memory", text)


def backups(scene: Scene) -> Iterator[Finding]:
    """Look at the age of the newest backup."""
    if scene.backups is None:
        yield skipped("backup", "no --backups was given")
        return
    found = newest(scene.backups) if scene.backups.is_dir() else None
    mend = "potoo backup --folder ... by a timer: docs/operating/backups.md"
    if found is None:
        yield failed("backup", f"there is none in {scene.backups}", mend)
        return
    file, made = found
    age = timedelta(seconds=scene.clock() - made.timestamp())
    text = f"{file.name} is {age.total_seconds() / 3600:.0f} hours old"
    yield failed("backup", text, mend) if age > OLD_BACKUP else ok("backup", text)


def versions(scene: Scene) -> Iterator[Finding]:
    """Tell the versions of Potoo, Python and the engine."""
    del scene
    from importlib.metadata import version

    text = f"Potoo {__version__}, Python {platform.python_version()}"
    yield ok("versions", f"{text}, ONNX Runtime {version('onnxruntime')}")


def telemetry(scene: Scene) -> Iterator[Finding]:
    """Look whether the engines send nothing about their use."""
    del scene
    import observability.onnx_runtime  # noqa: F401 - switches it off, as in the server

    if os.environ.get("ORT_DISABLE_TELEMETRY") == "1":
        yield ok("telemetry", "that of ONNX Runtime is off")
    else:
        yield failed("telemetry", "that of ONNX Runtime is on", "set ORT_DISABLE_TELEMETRY=1")
    consent = Path.home() / "intel" / "openvino_telemetry"
    if consent.is_file() and consent.read_text(errors="replace").strip() == "1":
        yield warning("telemetry", f"{consent} allows that of OpenVINO", f"echo 0 > {consent}")
