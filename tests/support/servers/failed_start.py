"""A server that must not start, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes.environment import clean_environment

PATIENCE = 120


def failed_start(
    folder: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run ``potoo serve``, which must exit with status 1 and without a traceback.

    Args:
        folder: for its data.
        settings: such as ``POTOO_PORT="0"``.
    """
    run = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--data-dir", str(folder / "data"), *arguments],
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    return run


def refusal_of_start(folder: Path, *arguments: str, **settings: str) -> list[str]:
    """The lines on standard error of such a start, without those of the security log."""
    run = failed_start(folder, *arguments, **settings)
    assert "ready" not in run.stdout
    return [line for line in run.stderr.splitlines() if '"logger":"audit"' not in line]
