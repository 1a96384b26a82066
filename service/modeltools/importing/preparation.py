"""Preprocessing of an imported model, from a preset, the operator's options and the graph."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from schemas.manifest.model_input import Colour, Dtype, InputSpec, ShorterSide, Squash
from service.modeltools.importing.graph_facts import CannotImport, InputFacts
from service.modeltools.importing.presets import PRESETS, Preset

AS_THEY_ARE = "none"
_CROP = re.compile(r"crop(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Overrides:
    """Options that replace or amend a preset, as typed; None where not given.

    ``scale``: a number or a fraction; ``mean`` and ``std``: one number, or one a channel, with
    commas; ``resize``: ``squash``, ``crop``, or ``crop:`` and the shorter side's pixels.
    """

    colour: Colour | None = None
    scale: str | None = None
    mean: str | None = None
    std: str | None = None
    resize: str | None = None

    @property
    def has_numbers(self) -> bool:
        """Whether scale, mean or std is given, so that no preset is needed."""
        return any(said is not None for said in (self.scale, self.mean, self.std))


NOTHING_SAID = Overrides()


@dataclass(frozen=True, slots=True)
class Preparation:
    """Complete preprocessing of a photo. ``name``: of the preset it equals, or None."""

    name: str | None
    colour: Colour
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: ShorterSide | Squash

    @property
    def gain_and_bias(self) -> tuple[float, float]:
        """Gain and bias, averaged over channels, that map 0..255 to about the trained range."""
        std = float(np.mean(self.std))
        return self.scale / std, -float(np.mean(self.mean)) / std

    @property
    def turned(self) -> Preparation:
        """This preparation with red and blue exchanged."""
        other = Colour.RGB if self.colour is Colour.BGR else Colour.BGR
        return replace(self, name=None, colour=other, mean=self.mean[::-1], std=self.std[::-1])

    def input_spec(self, facts: InputFacts, size: tuple[int, int]) -> InputSpec:
        """Build the manifest's ``input``; raise ``ValidationError`` if it cannot be expressed."""
        return InputSpec(
            name=facts.name,
            dtype=facts.dtype,
            layout=facts.layout,
            colour=self.colour,
            height=size[0],
            width=size[1],
            batch=facts.batch or "dynamic",
            resize=self.resize,
            scale=self.scale,
            mean=self.mean,
            std=self.std,
        )


def preparation(
    like: str | None, said: Overrides, facts: InputFacts, size: tuple[int, int]
) -> Preparation:
    """Combine a preset and the options in ``said``.

    Args:
        like: a preset's name; None where ``said`` has the numbers, or the model takes uint8.
        size: height and width of the input.

    Raises:
        CannotImport: the preset is unknown, or the options are incomplete or do not fit the graph.
    """
    preset = _preset(like, said, facts)
    colour = _colour(said.colour, preset, facts)
    # The preset's numbers follow the order of its own colours.
    step = -1 if {colour, preset.colour} == {Colour.RGB, Colour.BGR} else 1
    scale = preset.scale if said.scale is None else _number(said.scale, "--scale")
    if not scale:
        raise CannotImport("--scale 0 would make all pictures alike")
    std = preset.std[::step] if said.std is None else _numbers(said.std, "--std", facts)
    if min(std) < 1e-6:
        raise CannotImport("--std must be above 0")
    return Preparation(
        next(name for name in PRESETS if PRESETS[name] is preset) if said == NOTHING_SAID else None,
        colour,
        scale,
        preset.mean[::step] if said.mean is None else _numbers(said.mean, "--mean", facts),
        std,
        _resize(said.resize, preset, size),
    )


def fitting_presets(
    said: Overrides, facts: InputFacts, size: tuple[int, int]
) -> Mapping[str, Preparation]:
    """Return all presets that fit a model with that input, by name; see ``preparation``."""
    found = {}
    for name, preset in PRESETS.items():
        is_possible = name == AS_THEY_ARE if facts.dtype is Dtype.UINT8 else True
        if is_possible and _fits(preset, facts):
            found[name] = preparation(name, said, facts, size)
    return found


def _fits(preset: Preset, facts: InputFacts) -> bool:
    return len(preset.mean) in {1, facts.channels}


def _preset(like: str | None, said: Overrides, facts: InputFacts) -> Preset:
    if facts.dtype is Dtype.UINT8:
        if like not in {None, AS_THEY_ARE}:
            raise CannotImport("the model takes uint8, so pixels as they are: leave --like out")
        if said.has_numbers:
            message = "the model takes uint8, so pixels as they are: leave --scale, --mean and "
            raise CannotImport(f"{message}--std out")
        return PRESETS[AS_THEY_ARE]
    if like is None:
        if said.has_numbers:
            return PRESETS[AS_THEY_ARE]
        known = "; ".join(f"{name} ({preset.meaning})" for name, preset in PRESETS.items())
        message = (
            f"the graph does not state its preprocessing: give --like, of {known}. Or give "
            "--scale, --mean and --std. With --dry-run and --try PHOTO all of them are tried"
        )
        raise CannotImport(message)
    preset = PRESETS.get(like)
    if preset is None:
        raise CannotImport(f"--like {like} is not known; there are {', '.join(PRESETS)}")
    if not _fits(preset, facts):
        raise CannotImport(f"--like {like} is for three colours; the model takes {facts.channels}")
    return preset


def _colour(said: Colour | None, preset: Preset, facts: InputFacts) -> Colour:
    if said is not None and said.channels != facts.channels:
        counts = f"has {said.channels} channels; the model takes {facts.channels}"
        raise CannotImport(f"--colour {said} {counts}")
    return said or (Colour.GREY if facts.channels == 1 else preset.colour)


def _resize(said: str | None, preset: Preset, size: tuple[int, int]) -> ShorterSide | Squash:
    longest = max(size)
    if said is None:
        return Squash() if preset.crop is None else ShorterSide(pixels=round(longest * preset.crop))
    if said == "squash":
        return Squash()
    found = _CROP.fullmatch(said)
    if found is None:
        raise CannotImport(f"--resize '{said}' is none of squash, crop and crop:256 (pixels)")
    pixels = int(found[1] or longest)
    if pixels < longest:
        raise CannotImport(f"--resize {said} is smaller than the model's input of {longest}")
    return ShorterSide(pixels=pixels)


def _numbers(text: str, option: str, facts: InputFacts) -> tuple[float, ...]:
    numbers = tuple(_number(part, option) for part in text.split(","))
    if len(numbers) not in {1, facts.channels}:
        wanted = f"1 or {facts.channels}" if facts.channels > 1 else "1"
        raise CannotImport(f"{option} has {len(numbers)} numbers; it must have {wanted}")
    return numbers


def _number(text: str, option: str) -> float:
    """Parse a number, or a fraction such as 1/255."""
    above, slash, below = text.partition("/")
    try:
        number = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not math.isfinite(number):
        raise CannotImport(f"{option}: '{text}' is no number")
    return number
