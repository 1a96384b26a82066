"""Model repositories for tests and benchmarks, from the test manifests and external model files.

The models themselves are not part of the project; tests that need them are skipped without them.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANIFESTS = Path(__file__).parents[1] / "manifests"
SHARED = Path(os.environ.get("TEST_DATA_DIR", ROOT.parent / "shared" / "data"))
NAMES = tuple(sorted(path.stem for path in MANIFESTS.glob("*.json")))


def assemble(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Build a repository in ``folder`` with the named models, linked from the external data."""
    for name in names:
        version = folder / name / "1"
        version.mkdir(parents=True)
        (version / "manifest.json").write_bytes((MANIFESTS / f"{name}.json").read_bytes())
        for file in ("model.onnx", "labels.txt"):
            (version / file).symlink_to(SHARED / "models" / name / file)
    return folder
