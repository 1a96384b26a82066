"""The Python programs of ``docs/sensors-devices.md``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.processes.environment import clean_environment
from tests.support.repository import ROOT
from tests.support.waiting import PATIENCE

READ_SAMPLES = """
import numpy
parts = iter(numpy.split(numpy.arange(1000, dtype=numpy.float32).reshape(-1, 1), 20))
def read_samples():
    return next(parts, None)
"""


def python_programs() -> list[str]:
    """All of them, in order."""
    document = (ROOT / "docs/sensors-devices.md").read_text()
    return re.findall(r"```python\n(.*?)```", document, re.DOTALL)


def run_program(program: str, folder: Path) -> None:
    """Run one in a folder, with 1,000 samples to send: their numbers."""
    subprocess.run(
        [sys.executable, "-c", READ_SAMPLES + program],
        check=True,
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        timeout=PATIENCE,
    )
