"""From an ONNX file to a version in the repository: what ``potoo models add`` does.

The graph says much of what a manifest needs, a preset most of the rest. What nobody said is told,
so that whoever knows can say it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from schemas.errors import ServiceError
from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Colour,
    Dtype,
    GoldenPrediction,
    GoldenSample,
    InputSpec,
    ModelManifest,
    OutputSpec,
    ShorterSide,
    Squash,
)
from schemas.operator_error import first_fault
from service.core.checks import GOLDEN_FOLDER
from service.core.image_limits import ImageLimits
from service.core.onnx_engine import ManifestMismatch, OnnxEngine
from service.core.postprocessing import probabilities, top_k
from service.core.preprocessing import Preprocessor
from service.core.publishing import Draft, drafting
from service.modeltools.graph_facts import (
    CannotImport,
    InputFacts,
    OutputFacts,
    copy_model,
    input_facts,
    open_graph,
    output_facts,
)
from service.modeltools.imagenet.names import ClassNames
from service.modeltools.presets import PRESETS, Preset

NOT_STATED = "not stated"
GOLDEN_PREDICTIONS = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What whoever adds a model says about it; None and empty for what they leave open.

    ``names``: labels with groups and synonyms; ``labels`` only says where they come from then.
    """

    name: str
    labels: Path
    like: str | None = None
    version: int | None = None
    size: int | None = None
    output: str | None = None
    description: str = ""
    licence: str = ""
    source: str = ""
    golden: tuple[Path, ...] = ()
    names: ClassNames | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """``unsure``: what was assumed, a sentence each."""

    folder: Path
    manifest: ModelManifest
    unsure: list[str] = field(default_factory=list)


def import_model(
    model: Path,
    wanted: Wanted,
    repository: Path,
    limits: ImageLimits,
    check: Callable[[Path], object],
) -> Imported:
    """Writes a version of a model, tries it, and publishes it as one step. Blocks.

    Args:
        check: raises unless the version in a folder can be served.

    Raises:
        CannotImport: the file or what is said about it does not do; nothing was published.
        ModelRefused: it does not pass its checks, the version is there already, the disk is full.
    """
    unsure: list[str] = []
    labels = wanted.names.labels if wanted.names else _read_labels(wanted.labels)
    with drafting(repository, wanted.name, wanted.version) as draft:
        target = draft.folder / MODEL_FILE
        if copy_model(model, target):
            unsure.append("The weights that lay beside the model were put into one file with it.")
        manifest = _manifest(target, wanted, draft, labels, unsure)
        if wanted.names:
            hierarchy = {"groups": wanted.names.groups, "synonyms": wanted.names.synonyms}
            manifest = manifest.model_copy(update=hierarchy)
        manifest = _with_golden(manifest, draft.folder, wanted.golden, limits)
        if not wanted.golden:
            unsure.append(
                "No golden photos: with --golden photo.jpg a faulty copy is noticed before it "
                "answers."
            )
        (draft.folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        check(draft.folder)
        return Imported(draft.publish(), manifest, unsure)


def _manifest(
    model: Path, wanted: Wanted, draft: Draft, labels: tuple[str, ...], unsure: list[str]
) -> ModelManifest:
    session = open_graph(model)
    spec = input_facts(session)
    preset = _preset(wanted.like, spec)
    height, width = _size(spec, wanted.size, unsure)
    if not spec.is_layout_sure:
        unsure.append(f"The order of the axes is not certain; {spec.layout} is assumed.")
    gain = preset.scale / float(np.mean(preset.std))
    bias = -float(np.mean(preset.mean)) / float(np.mean(preset.std))
    output = output_facts(session, spec, (height, width), wanted.output, (gain, bias))
    offset = output.classes - len(labels)
    if offset not in {0, 1}:
        counts = f"{len(labels)} labels, but the model {output.classes} classes"
        raise CannotImport(f"{wanted.labels} has {counts}")
    if offset:
        unsure.append("There is one class more than labels: the first is taken for background.")
    unsure += _assumptions(wanted, spec, output)
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    colour = Colour.GREY if spec.channels == 1 else Colour.RGB
    shorter = round(max(height, width) * (preset.crop or 1))
    try:
        return ModelManifest(
            name=draft.name,
            version=draft.version,
            sha256=digest,
            description=wanted.description,
            labels=labels,
            input=InputSpec(
                name=spec.name,
                dtype=spec.dtype,
                layout=spec.layout,
                colour=colour,
                height=height,
                width=width,
                batch=spec.batch or "dynamic",
                resize=Squash() if preset.crop is None else ShorterSide(pixels=shorter),
                scale=preset.scale,
                mean=preset.mean,
                std=preset.std,
            ),
            output=OutputSpec(
                name=output.name, kind=output.kind, rank=output.rank, label_offset=offset
            ),
            licence=wanted.licence or NOT_STATED,
            source=wanted.source or NOT_STATED,
        )
    except ValidationError as error:
        message = f"a manifest cannot say this: {first_fault(error, 'it')}"
        raise CannotImport(message) from error


def _assumptions(wanted: Wanted, spec: InputFacts, output: OutputFacts) -> list[str]:
    said = []
    if spec.channels == 3:
        said.append("The colours are taken to be RGB; a graph does not say (BGR is the other).")
    if wanted.like is not None:
        said.append(f"Pixels are prepared as '{wanted.like}': {PRESETS[wanted.like].meaning}.")
    sums = "sum to 1" if output.kind == "probabilities" else "do not sum to 1"
    said.append(f"The output '{output.name}' is taken for {output.kind}: its numbers {sums}.")
    if output.others and wanted.output is None:
        said.append(f"Other outputs are not read: {', '.join(output.others)} (see --output).")
    facts = {"licence": wanted.licence, "source": wanted.source}
    said.extend(f"The {what} is not stated." for what, fact in facts.items() if not fact)
    return said


def _preset(like: str | None, spec: InputFacts) -> Preset:
    if spec.dtype is Dtype.UINT8:
        if like not in {None, "none"}:
            raise CannotImport("the model takes uint8, so pixels as they are: leave --like out")
        return PRESETS["none"]
    if like is None:
        known = "; ".join(f"{name} ({preset.meaning})" for name, preset in PRESETS.items())
        message = f"a graph does not say how pixels become numbers: give --like, of {known}"
        raise CannotImport(message)
    preset = PRESETS.get(like)
    if preset is None:
        raise CannotImport(f"--like {like} is not known; there are {', '.join(PRESETS)}")
    if len(preset.mean) not in {1, spec.channels}:
        raise CannotImport(f"--like {like} is for three colours; the model takes {spec.channels}")
    return preset


def _size(spec: InputFacts, wanted: int | None, unsure: list[str]) -> tuple[int, int]:
    if wanted is not None:
        for known in (spec.height, spec.width):
            if known not in {None, wanted}:
                raise CannotImport(f"--size {wanted}, but the model takes {known}")
    height, width = spec.height or wanted or 224, spec.width or wanted or 224
    if wanted is None and None in {spec.height, spec.width}:
        unsure.append(f"The model takes any size; {height} x {width} is assumed (see --size).")
    return height, width


def _read_labels(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotImport(f"the labels cannot be read from {file}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or not all(line.strip() for line in lines):
        raise CannotImport(f"{file} must hold a label a line, and no empty lines")
    return tuple(line.strip() for line in lines)


def _with_golden(
    manifest: ModelManifest, folder: Path, photos: Sequence[Path], limits: ImageLimits
) -> ModelManifest:
    """The manifest with what the model answers to some photos today, which are copied."""
    if not photos:
        return manifest
    prepare = Preprocessor(manifest.input, limits)
    try:
        engine = OnnxEngine(folder / MODEL_FILE, manifest)
    except ManifestMismatch as error:
        raise CannotImport(str(error)) from error
    (folder / GOLDEN_FOLDER).mkdir()
    samples = []
    for number, photo in enumerate(photos, 1):
        name = f"{number}-{re.sub('[^A-Za-z0-9._-]', '-', photo.name)[-80:]}"
        try:
            shutil.copyfile(photo, folder / GOLDEN_FOLDER / name)
            output_NK = engine.run(prepare(photo.read_bytes()).tensor[np.newaxis])
        except ServiceError as error:
            raise CannotImport(f"{photo}: {error.detail}") from error
        shares_K = probabilities(output_NK, manifest.output, manifest.temperature)[0]
        best = top_k(shares_K, GOLDEN_PREDICTIONS)
        offset = manifest.output.label_offset
        answers = tuple(
            GoldenPrediction(index=int(index) + offset, score=round(float(shares_K[index]), 4))
            for index in best
        )
        samples.append(GoldenSample(file=name, predictions=answers))
    return manifest.model_copy(update={"golden": tuple(samples)})
