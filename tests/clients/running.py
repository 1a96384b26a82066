"""Run a script of this folder in the environment of the clients."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT
from tests.support.servers.databases import missing

VARIABLE = "TEST_CLIENTS_PYTHON"
"""Path of the interpreter, instead of that of ``make clients``."""
PATIENCE = 120.0


def facts(program: str, **given: object) -> dict[str, Any]:
    """Run a program; return the JSON that it prints. ``given``: its input.

    Skips the test if the package is not installed.
    """
    python = Path(os.environ.get(VARIABLE, ROOT / ".venv-clients" / "bin" / "python"))
    package = "kserve" if program.startswith("kserve") else "tritonclient"
    if (
        not python.exists()
        or subprocess.run(
            [python, "-c", f"import importlib.util as u; exit(not u.find_spec('{package}'))"],
            check=False,
        ).returncode
    ):
        missing(f"{package} (make clients)")
    done = subprocess.run(
        [python, str(Path(__file__).with_name(f"{program}.py"))],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
