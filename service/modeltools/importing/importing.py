"""Import of an ONNX file as a version in the repository, for ``potoo models add``.

The graph and a preset determine most of a manifest. Every remaining
assumption is reported, so that the operator can correct it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from observability.onnx_runtime import ort
from schemas.manifest.model_input import Colour
from schemas.manifest.model_output import DEFAULT_THRESHOLD, LabelKind, OutputKind, OutputSpec
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from schemas.operator_error import first_fault
from service.core.imaging.image_limits import ImageLimits
from service.core.lifecycle.offline_models import servable_default
from service.core.repository.publishing import Draft, Publish, drafting
from service.core.repository.repository import Repository
from service.core.repository.serving_policy import with_default_kept
from service.modeltools.imagenet.names import ClassNames
from service.modeltools.importing.golden_photos import read_photos, store_golden
from service.modeltools.importing.graph_facts import (
    CannotImport,
    InputFacts,
    copy_model,
    input_facts,
    open_graph,
)
from service.modeltools.importing.label_files import read_label_file
from service.modeltools.importing.output_facts import OutputFacts, output_facts
from service.modeltools.importing.photo_answers import Answerer, Photo, answerer
from service.modeltools.importing.preparation import (
    NOTHING_SAID,
    Overrides,
    Preparation,
    preparation,
)
from service.modeltools.importing.presets import PRESETS

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import; None or empty if not given.

    ``names``: labels with groups and synonyms; ``labels`` then only states their source.
    ``golden``: photos, each optionally with ``=label``. ``no_promote``: keep the current version.
    """

    name: str
    labels: Path
    like: str | None = None
    pixels: Overrides = NOTHING_SAID
    version: int | None = None
    size: int | None = None
    output: str | None = None
    kind: LabelKind | None = None
    threshold: float | None = None
    description: str = ""
    licence: str = ""
    source: str = ""
    golden: tuple[str, ...] = ()
    no_promote: bool = False
    names: ClassNames | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported version. ``unsure``: assumptions; ``before``: the version that answered."""

    folder: Path
    manifest: ModelManifest
    before: int | None = None
    unsure: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """An opened model and its labels."""

    model: Path
    session: ort.InferenceSession
    facts: InputFacts
    size: tuple[int, int]
    labels: tuple[str, ...]


def import_model(
    model: Path,
    wanted: ImportOptions,
    repository: Path,
    limits: ImageLimits,
    check: Callable[[Path], object],
    publish: Publish = Draft.publish,
) -> Imported:
    """Write a version of a model, check it, and publish it atomically. Blocks.

    Args:
        check: raises unless the version in a folder can be served.

    Raises:
        CannotImport: the file or the options are not usable; nothing was published.
        ModelRefused: the version fails its checks or exists already, or the disk is full.
    """
    unsure: list[str] = []
    with drafting(repository, wanted.name, wanted.version) as draft:
        subject = look_into(model, draft.folder / MODEL_FILE, wanted, unsure)
        how = preparation(wanted.like, wanted.pixels, subject.facts, subject.size)
        manifest = draw_manifest(subject, wanted, how, draft.version, unsure)
        unsure += _assumptions(wanted, how)
        if wanted.names is not None:
            hierarchy = {"groups": wanted.names.groups, "synonyms": wanted.names.synonyms}
            manifest = manifest.model_copy(update=hierarchy)
        photos = read_photos(wanted.golden, subject.labels, manifest.output.kind)
        answers = answerer(draft.folder, manifest, limits)
        golden = store_golden(photos, answers, draft.folder)
        manifest = manifest.model_copy(update={"golden": golden})
        if not golden:
            unsure.append(
                "No golden photos: with --golden photo.jpg=label a wrong preparation is noticed "
                "here, and a faulty copy before it answers."
            )
        unsure.append(_uncalibrated(manifest))
        (draft.folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        check(draft.folder)
        there, before = Repository(repository), None
        unlabelled = [photo for photo in photos if photo.label is None]
        is_known = draft.name in there.names() and there.policy(draft.name).enabled
        if is_known and (unlabelled or wanted.no_promote):
            before = servable_default(there, draft.name, check)
        if before is not None and unlabelled:
            old = answerer(there.version(draft.name, before), None, limits)
            unsure += [_compared(photo, answers, old) for photo in unlabelled]
        return Imported(_publish(draft, there, wanted, before, publish), manifest, before, unsure)


def look_into(model: Path, target: Path, wanted: ImportOptions, unsure: list[str]) -> Subject:
    """Copy a model to ``target``, open it there, and read its labels.

    Raises:
        CannotImport: the model cannot be served, or its labels cannot be read.
    """
    if wanted.names is None:
        found = read_label_file(wanted.labels)
        labels = found.labels
        unsure += found.notes
    else:
        labels = wanted.names.labels
    if copy_model(model, target):
        unsure.append("The weights that lay beside the model were put into one file with it.")
    session = open_graph(target)
    facts = input_facts(session)
    size = _size(facts, wanted.size, unsure)
    if not facts.is_layout_sure:
        unsure.append(f"The order of the axes is not certain; {facts.layout} is assumed.")
    return Subject(target, session, facts, size, labels)


def draw_manifest(
    subject: Subject, wanted: ImportOptions, how: Preparation, version: int, unsure: list[str]
) -> ModelManifest:
    """Build the manifest from the graph, the preparation and the options.

    Raises:
        CannotImport: they contradict each other.
    """
    found = output_facts(
        subject.session,
        subject.model,
        subject.facts,
        subject.size,
        wanted.output,
        how.gain_and_bias,
    )
    offset = found.classes - len(subject.labels)
    if offset not in {0, 1}:
        counts = f"{len(subject.labels)} labels, but the model {found.classes} classes"
        raise CannotImport(f"{wanted.labels} has {counts}")
    if offset:
        unsure.append("There is one class more than labels: the first is taken for background.")
    kind = wanted.kind or found.kind
    if wanted.kind is None:
        unsure.append(_taken_for(found))
    if found.others and wanted.output is None:
        unsure.append(f"Other outputs are not read: {', '.join(found.others)} (see --output).")
    with subject.model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        return ModelManifest(
            name=wanted.name,
            version=version,
            sha256=digest,
            description=wanted.description,
            labels=subject.labels,
            input=how.input_spec(subject.facts, subject.size),
            output=OutputSpec(
                name=found.name,
                kind=kind,
                rank=found.rank,
                label_offset=offset,
                thresholds=_thresholds(kind, wanted.threshold),
            ),
            licence=wanted.licence or NOT_STATED,
            source=wanted.source or NOT_STATED,
        )
    except ValidationError as error:
        message = f"the manifest would be invalid: {first_fault(error, 'it')}"
        raise CannotImport(message) from error


def _thresholds(kind: OutputKind, threshold: float | None) -> tuple[float, ...]:
    if kind == "sigmoid":
        return (DEFAULT_THRESHOLD if threshold is None else threshold,)
    if threshold is not None:
        message = f"--threshold is for multi-label models; the output is taken for {kind}"
        raise CannotImport(f"{message} (see --kind)")
    return ()


def _assumptions(wanted: ImportOptions, how: Preparation) -> list[str]:
    said = []
    if how.colour is Colour.RGB and wanted.pixels.colour is None:
        said.append("The colours are taken to be RGB; a graph does not say (--colour BGR).")
    if wanted.like is not None:
        beside = "" if how.name else " What is said otherwise goes before it."
        meaning = PRESETS[wanted.like].meaning
        said.append(f"Pixels are prepared as '{wanted.like}': {meaning}.{beside}")
    facts = {"licence": wanted.licence, "source": wanted.source}
    said.extend(f"The {what} is not stated." for what, fact in facts.items() if not fact)
    return said


def _taken_for(output: OutputFacts) -> str:
    taken = f"The output '{output.name}' is taken for {output.kind}: {output.reason}"
    if output.kind == "sigmoid":
        return f"{taken}. So any number of labels may be present; --kind logits says otherwise."
    return f"{taken} (see --kind)."


def _uncalibrated(manifest: ModelManifest) -> str:
    found = "uncalibrated: scores are as the network gives them"
    if manifest.output.kind == "sigmoid":
        (threshold,) = manifest.output.thresholds
        return f"{found}, and a label is present from {threshold:g} on (see --threshold)"
    return f"{found}; 'potoo models calibrate {manifest.name} --images DIR' measures them"


def _compared(photo: Photo, now: Answerer, before: Answerer) -> str:
    """Compare the answer to a photo with that of the current version."""
    old = f"before (version {before.manifest.version}) {before.best(photo)}"
    return f"{photo.file.name}: now {now.best(photo)}, {old}"


def _publish(
    draft: Draft,
    there: Repository,
    wanted: ImportOptions,
    before: int | None,
    publish: Publish,
) -> Path:
    if not wanted.no_promote:
        return publish(draft, None)
    available = there.versions(draft.name) if draft.name in there.names() else {}
    return publish(draft, lambda policy: with_default_kept(policy, before, available))


def _size(spec: InputFacts, wanted: int | None, unsure: list[str]) -> tuple[int, int]:
    if wanted is not None:
        for known in (spec.height, spec.width):
            if known not in {None, wanted}:
                raise CannotImport(f"--size {wanted}, but the model takes {known}")
    height, width = spec.height or wanted or 224, spec.width or wanted or 224
    if wanted is None and None in {spec.height, spec.width}:
        unsure.append(f"The model takes any size; {height} x {width} is assumed (see --size).")
    return height, width
