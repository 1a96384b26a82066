"""What the everyday classifier is made of; its layers are in ``network.py``."""

from __future__ import annotations

from training.schedule import Schedule
from training.views import Geometry

NAME, VERSION = "everyday", 1
LEFT_OUT = frozenset({"Faces"})  # portraits of people
GEOMETRY = Geometry(resize=128, crop=112)
CROPS = 20
"""Random crops of each photo beside the centre view, each seen by the teacher once."""
CROP_AREA = (0.35, 1.0)
SCHEDULE = Schedule(epochs=300)
ANSWERED_ACCURACY = 0.9
"""The abstention threshold is set so that answers above it are right this often (validation)."""

_SPELLING = {
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
    "bass": "bass (fish)",
    "car_side": "car",
    "cougar_body": "cougar",
    "garfield": "Garfield",
    "joshua_tree": "Joshua tree",
    "snoopy": "Snoopy",
    "water_lilly": "water lily",
    "windsor_chair": "Windsor chair",
    "yin_yang": "yin-yang",
}


def label(class_name: str) -> str:
    """A class folder's name as people write it."""
    return _SPELLING.get(class_name, class_name.replace("_", " "))
