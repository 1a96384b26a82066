"""Installs a peer into an environment of its own, from requirements with hashes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.support.subject import ROOT

FOLDER = ROOT / ".venv-peers"
LOCKS = Path(__file__).parent


class NotInstalled(Exception):
    """pip failed; the message is its last line."""


def install(name: str) -> Path:
    """Install a peer if its lock changed; return the path of its Python.

    Raises:
        NotInstalled: a package is not available as a wheel; nothing is compiled.
    """
    lock, folder = lock_of(name), FOLDER / name
    python, stamp = folder / "bin" / "python", folder / ".installed"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print(f"installing {name} into {folder.relative_to(ROOT)} ...", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    _run([*pip, "--require-hashes", "--only-binary=:all:", "--requirement", str(lock)])
    stamp.write_text(digest)
    return python


def version_of(name: str) -> str:
    """Return the version that the lock pins."""
    found = re.search(rf"^{name}==([^ ;\\]+)", lock_of(name).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def lock_of(name: str) -> Path:
    """Return the path of a peer's requirements, all with hashes."""
    return LOCKS / f"{name}.txt"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise NotInstalled(said[-1] if said else "no reason given") from error
