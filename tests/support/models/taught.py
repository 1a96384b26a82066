"""Versions with random heads on the shipped base `everyday`, as a run of teaching writes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx

from schemas.manifest.model_output import OutputSpec
from schemas.models import HEAD_FILE, MANIFEST_FILE, MODEL_FILE, TaughtFrom
from service.core.repository.version_files import read_manifest
from service.teach.features.penultimate import find
from service.teach.grafting.graft import Graft, grafted, tail
from service.teach.heads.head import Head

BASE = Path(__file__).parents[3] / "models" / "everyday" / "1"


def write_taught(repository: Path, name: str, seed: int, of: Path = BASE) -> Path:
    """Write version 1 of a model with two labels, on the base in a folder; return its own."""
    base, model = read_manifest(of), onnx.load(of / MODEL_FILE)
    features = find(model)
    random = np.random.default_rng(seed)
    head = Head(random.normal(size=(2, features.width)), random.normal(size=2), "softmax")
    graft = Graft.of(head, 1.0)
    whole = grafted(model, features, graft)
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    data = whole.SerializeToString()
    (folder / MODEL_FILE).write_bytes(data)
    (folder / HEAD_FILE).write_bytes(tail(features, graft).SerializeToString())
    manifest = base.model_copy(
        update={
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "labels": (f"{name} no", f"{name} yes"),
            "output": OutputSpec(name=whole.graph.output[0].name, kind="logits"),
            "temperature": 1.0,
            "abstain_below": 0.0,
            "groups": {},
            "group_thresholds": (),
            "synonyms": {},
            "unnamed": (),
            "calibration": None,
            "accuracy": (),
            "golden": (),
            "base": TaughtFrom(
                name=base.name,
                version=base.version,
                sha256=base.sha256,
                tensor=features.tensor,
                features=whole.graph.output[1].name,
            ),
        }
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder
