"""Writes ``benchmarks/results/<day>-<kind>.json``: every sample, the machine and the commit."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.support import photo
from benchmarks.support.subject import ROOT
from service.core.engine.pool import usable_cores

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("onnxruntime", "pillow", "uvicorn", "fastapi")


def write(kind: str, facts: dict[str, object], folder: Path = RESULTS) -> Path:
    """Write the facts with their circumstances; further files of a day get a number."""
    folder.mkdir(exist_ok=True)
    path = free_path(folder, f"{datetime.now(UTC):%Y-%m-%d}-{kind}")
    path.write_text(json.dumps({**circumstances(), **facts}, indent=1) + "\n")
    return path


def free_path(folder: Path, stem: str) -> Path:
    """Return ``stem.json``, or ``stem-2.json`` and so on if that exists."""
    number, path = 1, folder / f"{stem}.json"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    return path


def circumstances() -> dict[str, object]:
    """Collect the time, the commit, the machine and the photos."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "machine": {
            "processor": _processor(),
            "cores": usable_cores(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "photo": {"size": photo.SIZE, "bytes": len(photo.jpeg())},
        "large_photo": {"size": photo.LARGE, "bytes": len(photo.large_jpeg())},
    }


def git(*arguments: str) -> str:
    """Return the output of a git command; empty without git or a repository."""
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()
