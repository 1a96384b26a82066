"""One teaching: features, head, verdict, graft, files of a version. Knows no process and no store.

Runs in the process that ``child.py`` begins, and in that of the command ``potoo teach``.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from schemas.errors import CallerError, InferenceFailed
from schemas.models import MANIFEST_FILE, MODEL_FILE, TaughtFrom
from schemas.teach.run import RunFailure, RunState, SkippedPhoto
from schemas.teach.verdict import Verdict
from service.core.imaging.formats.signatures import signature
from service.core.repository.publishing import DISK_FULL
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.core.serving.checks import GOLDEN_FOLDER
from service.teach.features.cache import FeatureCache
from service.teach.features.extraction import Extractor
from service.teach.features.penultimate import NoFeatures, find
from service.teach.grafting import goldens
from service.teach.grafting.card import CARD_FILE, card
from service.teach.grafting.checking import check_equal
from service.teach.grafting.graft import Graft, grafted
from service.teach.grafting.manifest import Taught, make_manifest
from service.teach.grafting.problems import CannotGraft, GraphDiffers
from service.teach.grafting.unknown import UnknownScore
from service.teach.heads.fitting import FitOptions, Targets, fit
from service.teach.heads.problems import CannotFit
from service.teach.runs.job import Job, JobPhoto, Message, Said
from service.teach.runs.problems import RunFailed
from service.teach.verdict.verdict import judge

Say = Callable[[Message], None]
IsOver = Callable[[], bool]
"""Whether a job that only computes features should end: another one waits."""
PROVISIONAL_VERSION = 1
"""The number is chosen when the version is published."""
