"""Presets of ``--like``: the preprocessing of well-known families of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.manifest.model_input import Colour


@dataclass(frozen=True, slots=True)
class Preset:
    """Preprocessing ``(pixel * scale - mean) / std``, in the order of ``colour``.

    ``crop``: shorter side over input size, None: squash. A greyscale model gets grey pictures, if
    mean and std are one number each.
    """

    meaning: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float | None
    colour: Colour = Colour.RGB


PRESETS: Mapping[str, Preset] = {
    "imagenet": Preset(
        "torchvision and timm: 0..1 less ImageNet's mean, by its deviation; centre crop of 256/224",
        1 / 255,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        256 / 224,
    ),
    "0-1": Preset("0..1; centre crop", 1 / 255, (0.0,), (1.0,), 1.0),
    "-1..1": Preset("-1..1; centre crop", 1 / 127.5, (1.0,), (1.0,), 1.0),
    "tf": Preset("Keras in mode 'tf': -1..1; squashed", 1 / 127.5, (1.0,), (1.0,), None),
    "keras-0-1": Preset(
        "Keras with Rescaling(1/255): 0..1; squashed", 1 / 255, (0.0,), (1.0,), None
    ),
    # ILSVRC 2012's mean, as BVLC's reference models and SqueezeNet's train_val.prototxt round it.
    "caffe": Preset(
        "Caffe: BGR, 0..255 less (104, 117, 123); centre crop of 256/224",
        1.0,
        (104.0, 117.0, 123.0),
        (1.0,),
        256 / 224,
        Colour.BGR,
    ),
    # keras.applications.imagenet_utils.preprocess_input, whose numbers are VGG's (Simonyan 2014).
    "keras-caffe": Preset(
        "Keras in mode 'caffe', as VGG16 and ResNet50: BGR, 0..255 less "
        "(103.939, 116.779, 123.68); squashed",
        1.0,
        (103.939, 116.779, 123.68),
        (1.0,),
        None,
        Colour.BGR,
    ),
    "efficientnet-lite": Preset(
        "EfficientNet-Lite: (pixel - 127) / 128; centre crop of 256/224",
        1.0,
        (127.0,),
        (128.0,),
        256 / 224,
    ),
    "none": Preset("0..255 as they are; centre crop", 1.0, (0.0,), (1.0,), 1.0),
}
