"""Preprocessing options: presets, overrides, and invalid values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from schemas.manifest.model_input import Colour, Dtype, Layout, ShorterSide, Squash
from service.core.imaging.preprocessing import Preprocessor
from service.modeltools.importing.graph_facts import CannotImport, InputFacts
from service.modeltools.importing.preparation import (
    Overrides,
    Preparation,
    fitting_presets,
    preparation,
)
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import image_limits

FACTS = InputFacts("image", Dtype.FLOAT32, Layout.NCHW, 3, 224, 224, None, is_layout_sure=True)
GREY = replace(FACTS, channels=1)
PIXELS = replace(FACTS, dtype=Dtype.UINT8)
SIZE = (224, 224)


def made(like: str | None, facts: InputFacts = FACTS, **said: object) -> Preparation:
    return preparation(like, Overrides(**said), facts, SIZE)  # type: ignore[arg-type]


def tensor_of(how: Preparation, colour: tuple[int, int, int]) -> list[float]:
    """The three input values of a picture of one colour."""
    spec = how.input_spec(FACTS, SIZE)
    tensor = Preprocessor(spec, image_limits())(plain(colour)).tensor
    return [round(float(number), 3) for number in np.asarray(tensor)[:, 100, 100]]


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("caffe", [30 - 104, 20 - 117, 10 - 123]),
        ("keras-caffe", [30 - 103.939, 20 - 116.779, 10 - 123.68]),
        ("keras-0-1", [0.039, 0.078, 0.118]),
    ],
)
def test_presets_give_the_values_of_their_families(like: str, expected: list[float]) -> None:
    assert tensor_of(made(like), (10, 20, 30)) == pytest.approx(expected, abs=1e-3)


def test_keras_presets_squash_and_caffe_crops() -> None:
    assert isinstance(made("keras-0-1").resize, Squash)
    assert isinstance(made("keras-caffe").resize, Squash)
    assert made("caffe").resize == ShorterSide(pixels=256)


def test_options_override_the_preset() -> None:
    how = made("imagenet", scale="1/127.5", mean="1", std="0.5,1,2", resize="squash")
    assert (how.scale, how.mean, how.std) == (1 / 127.5, (1.0,), (0.5, 1.0, 2.0))
    assert isinstance(how.resize, Squash)
    assert how.name is None
    assert made("imagenet").name == "imagenet"


@pytest.mark.parametrize("said", [{"scale": "1/255"}, {"mean": "104,117,123"}, {"std": "255"}])
def test_numeric_options_need_no_preset(said: dict[str, object]) -> None:
    how = made(None, FACTS, **said)
    assert (how.colour, how.resize) == (Colour.RGB, ShorterSide(pixels=224))


def test_preset_means_follow_the_colour_order() -> None:
    how = made("imagenet", colour=Colour.BGR)
    assert (how.mean, how.std) == ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
    assert tensor_of(how, (10, 20, 30)) == tensor_of(made("imagenet"), (10, 20, 30))[::-1]
    assert made("caffe", colour=Colour.RGB).mean == (123.0, 117.0, 104.0)
    # Values are in the order of the given colours.
    assert made("imagenet", colour=Colour.BGR, mean="1,2,3").mean == (1.0, 2.0, 3.0)


def test_turned_preprocessing_swaps_red_and_blue() -> None:
    how = made("caffe")
    assert tensor_of(how.turned, (10, 20, 30)) == tensor_of(how, (10, 20, 30))[::-1]
    assert how.turned.turned == replace(how, name=None)


@pytest.mark.parametrize(
    ("resize", "pixels"), [("crop", 224), ("crop:224", 224), ("crop:256", 256)]
)
def test_crop_size_is_given_in_pixels(resize: str, pixels: int) -> None:
    assert made("tf", resize=resize).resize == ShorterSide(pixels=pixels)


@pytest.mark.parametrize(
    ("like", "facts", "said", "says"),
    [
        (None, FACTS, {}, "give --like, of imagenet"),
        (None, FACTS, {"colour": Colour.BGR}, "give --like"),
        (None, FACTS, {"resize": "squash"}, "give --like"),
        ("torch7", FACTS, {}, "--like torch7 is not known; there are imagenet"),
        ("caffe", GREY, {}, "--like caffe is for three colours; the model takes 1"),
        ("0-1", GREY, {"colour": Colour.BGR}, "--colour BGR has 3 channels; the model takes 1"),
        ("0-1", FACTS, {"colour": Colour.GREY}, "--colour grey has 1 channels; the model takes 3"),
        ("0-1", FACTS, {"mean": "1,2"}, "--mean has 2 numbers; it must have 1 or 3"),
        ("0-1", GREY, {"mean": "1,2,3"}, "--mean has 3 numbers; it must have 1"),
        ("0-1", FACTS, {"mean": "1,,3"}, "--mean: '' is no number"),
        ("0-1", FACTS, {"mean": "nan"}, "--mean: 'nan' is no number"),
        ("0-1", FACTS, {"std": "0"}, "--std must be above 0"),
        ("0-1", FACTS, {"std": "1,-1,1"}, "--std must be above 0"),
        ("0-1", FACTS, {"scale": "inf"}, "--scale: 'inf' is no number"),
        ("0-1", FACTS, {"scale": "1/0"}, "--scale: '1/0' is no number"),
        ("0-1", FACTS, {"scale": "0"}, "--scale 0 would make all pictures alike"),
        ("0-1", FACTS, {"scale": "a lot"}, "--scale: 'a lot' is no number"),
        ("0-1", FACTS, {"resize": "crop:100"}, "crop:100 is smaller than the model's input of 224"),
        ("0-1", FACTS, {"resize": "stretch"}, "'stretch' is none of squash, crop and crop:256"),
        ("0-1", FACTS, {"resize": "crop:9999999"}, "is none of squash"),
        ("0-1", PIXELS, {}, "takes uint8, so pixels as they are: leave --like out"),
        (None, PIXELS, {"scale": "1/255"}, "leave --scale, --mean and --std out"),
    ],
)
def test_impossible_preprocessing_is_refused_with_its_reason(
    like: str | None, facts: InputFacts, said: dict[str, object], says: str
) -> None:
    with pytest.raises(CannotImport, match=says):
        made(like, facts, **said)


def test_identity_pixels_may_be_bgr_and_squashed() -> None:
    how = made(None, PIXELS, colour=Colour.BGR, resize="squash")
    assert (how.colour, how.resize, how.scale) == (Colour.BGR, Squash(), 1.0)
    assert made(None, PIXELS).name == "none"


def test_fitting_presets_depend_on_the_input() -> None:
    assert set(fitting_presets(Overrides(), PIXELS, SIZE)) == {"none"}
    grey = fitting_presets(Overrides(), GREY, SIZE)
    assert set(grey) == {"0-1", "-1..1", "tf", "keras-0-1", "efficientnet-lite", "none"}
    assert {how.colour for how in grey.values()} == {Colour.GREY}
    assert len(fitting_presets(Overrides(), FACTS, SIZE)) == 9
