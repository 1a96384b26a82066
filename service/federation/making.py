"""From the sums of sites to the files of a version. Blocks; knows no store and no caller."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from schemas.errors import Conflict
from schemas.federation import AgreedClass, FederationBase, HeldOut, SiteHarm
from schemas.models import (
    HEAD_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    ModelManifest,
    TaughtFrom,
)
from schemas.teach import verdict as verdicts
from service.core.repository.publishing import Draft
from service.core.repository.version_files import read_manifest
from service.federation.arithmetic.harm import harm, main_directions
from service.federation.arithmetic.solving import Solved, projected, solve
from service.teach.features.penultimate import NoFeatures, find
from service.teach.grafting.card import CARD_FILE, plain
from service.teach.grafting.checking import check_equal
from service.teach.grafting.graft import Graft, grafted, tail
from service.teach.grafting.manifest import Taught, make_manifest
from service.teach.grafting.problems import CannotGraft, GraphDiffers
from service.teach.heads.head import Head
from service.teach.heads.sums import Sums

PRECISION = 0.95
USUAL_TEMPERATURE = 0.13
"""That of ridge heads on features of photos; where no site could measure its own."""
_SHOWN_SITES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A head of sums, and what the sums say about it. ``classes``: also those not kept."""

    solved: Solved
    temperature: float
    classes: tuple[AgreedClass, ...]
    sites: tuple[SiteHarm, ...]
    photos: int
    mean_KD: np.typing.NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes that the head tells apart."""
        return tuple(one.name for one in self.classes if one.is_kept)


def temperature_of(sites: Iterable[HeldOut | None]) -> float:
    """Return the mean of the temperatures that sites measured, by photos, as powers."""
    known = [one for one in sites if one is not None]
    photos = sum(one.photos for one in known)
    if not photos:
        return USUAL_TEMPERATURE
    logs = sum(one.photos * math.log(one.temperature) for one in known)
    return math.exp(logs / photos)


def make(
    names: Sequence[str],
    classes: tuple[AgreedClass, ...],
    sums_of: Callable[[str], Sums | None],
    strength: float | None,
    temperature: float,
) -> Made:
    """Add the sums of sites up and solve them; judge each site by the others.

    Args:
        names: of the sites.
        classes: see ``names.agree``.
        sums_of: returns the sums of a site for the kept classes; None if it has none of these.
            Called twice for each site, since all sums together may not fit into memory.
        strength: of the ridge; None: chosen.
        temperature: see ``temperature_of``.

    Raises:
        Conflict: fewer than two classes have photos.
    """
    if sum(one.is_kept for one in classes) < 2:
        message = "Fewer than two classes have photos, or are kept: there is nothing to tell apart."
        raise Conflict(message)
    whole: Sums | None = None
    for name in names:
        if (sums := sums_of(name)) is not None:
            whole = sums if whole is None else whole + sums
    if whole is None:
        raise Conflict("No site has sent sums.")
    solved = solve(whole, strength)
    compared = _along(main_directions(whole), names, sums_of)
    mean_KD = whole.xy_KD / np.maximum(whole.counts_K, 1)[:, np.newaxis]
    return Made(
        solved=solved,
        temperature=temperature,
        classes=classes,
        sites=tuple(harm(compared, solved.strength)),
        photos=int(whole.photos),
        mean_KD=mean_KD,
    )


def _along(
    directions: np.typing.NDArray[np.float64] | None,
    names: Sequence[str],
    sums_of: Callable[[str], Sums | None],
) -> Mapping[str, Sums]:
    found = {}
    for name in names:
        sums = sums_of(name)
        if sums is not None:
            found[name] = sums if directions is None else projected(sums, directions)
    return found


def write_version(
    draft: Draft, made: Made, federation: str, base: FederationBase, folder: Path
) -> None:
    """Write the files of a version into a draft.

    Args:
        federation: its name, for people.
        folder: of the base's version.

    Raises:
        Conflict: the base was replaced, or its graph cannot carry the head.
    """
    manifest = read_base(folder, base)
    head = Head(made.solved.weight_KD, made.solved.bias_K, "softmax")
    graft = Graft.of(head, made.temperature)
    try:
        model = onnx.load(folder / MODEL_FILE)
        features = find(model, base.tensor)
        whole = grafted(model, features, graft)
        check_equal(features, graft, made.mean_KD.astype(np.float32))
    except (CannotGraft, NoFeatures, GraphDiffers) as error:
        raise Conflict(str(error)) from error
    data = whole.SerializeToString(deterministic=True)
    (draft.folder / MODEL_FILE).write_bytes(data)
    lone = tail(features, graft).SerializeToString(deterministic=True)
    (draft.folder / HEAD_FILE).write_bytes(lone)
    origin = TaughtFrom(
        name=base.name,
        version=base.version,
        sha256=base.sha256,
        tensor=base.tensor,
        features=whole.graph.output[1].name,
    )
    made_manifest = make_manifest(
        Taught(
            name=draft.name,
            version=draft.version,
            sha256=hashlib.sha256(data).hexdigest(),
            base=manifest,
            origin=origin,
            classes=made.names,
            graft=graft,
            output=whole.graph.output[0].name,
            verdict=_verdict(made),
            golden=(),
            source=_source(made, federation),
        )
    )
    (draft.folder / MANIFEST_FILE).write_text(made_manifest.model_dump_json(indent=2) + "\n")
    (draft.folder / CARD_FILE).write_text(_card(made_manifest, made, federation))


def read_base(folder: Path, base: FederationBase) -> ModelManifest:
    """Return the manifest of the base.

    Raises:
        Conflict: it was removed or replaced.
    """
    if not folder.is_dir():
        message = f"The base {base.name} {base.version} was removed."
        raise Conflict(message)
    manifest = read_manifest(folder)
    if manifest.sha256 != base.sha256:
        message = f"The base {base.name} {base.version} was replaced: add another federation."
        raise Conflict(message)
    return manifest


def _source(made: Made, federation: str) -> str:
    sites = [one.site for one in made.sites]
    shown = ", ".join(sites[:_SHOWN_SITES]) + (", ..." if len(sites) > _SHOWN_SITES else "")
    return f"{len(sites)} sites of the federation {federation}: {shown}"


def _verdict(made: Made) -> verdicts.Verdict:
    """Return a verdict that says nothing but counts: sums hold no photos out."""
    return verdicts.Verdict(
        kind="single",
        classes=made.names,
        photos=made.photos,
        groups=len(made.sites),
        accuracy=verdicts.Accuracy(value=None, right=0, photos=0, groups=0),
        confusion=(),
        per_class=(),
        enough=True,
        advice=(),
        calibration=verdicts.Calibration(
            temperature=made.temperature,
            error=None,
            promised_precision=PRECISION,
            threshold=None,
            coverage=None,
            precision=None,
        ),
    )


def _card(manifest: ModelManifest, made: Made, federation: str) -> str:
    origin = manifest.base
    lines = [f"# {manifest.name} {manifest.version}", ""]
    if origin is not None:
        lines.append(
            f"Taught from the sums of {made.photos} photos of {len(made.sites)} sites, federation "
            f"`{federation}`: a head on the features `{origin.tensor}` of {origin.name} "
            f"{origin.version}. The photos did not leave their sites."
        )
    lines += ["", "Its accuracy is not known: measure it on photos of your own."]
    lines += ["", "| class | photos | sites |", "|---|---|---|"]
    for one in made.classes:
        left_out = "" if one.is_kept else " (left out)"
        lines.append(f"| {plain(one.name)}{left_out} | {one.photos} | {', '.join(one.sites)} |")
    lines += ["", "| site | error of other sites' photos with it |", "|---|---|"]
    for site in made.sites:
        change = "not judged" if site.change is None else f"{site.change:+.1%}"
        lines.append(f"| {site.site} | {change}{', harmful' if site.is_harmful else ''} |")
    return "\n".join(lines) + "\n"
