"""Settings of the everyday classifier; its layers are in ``network.py``."""

from __future__ import annotations

from training.schedule import Schedule
from training.views import Geometry

NAME, VERSION = "everyday", 1
LEFT_OUT = frozenset({"Faces"})  # portraits of people
GEOMETRY = Geometry(resize=128, crop=112)
CROPS = 20
"""Number of random crops of each photo, besides the centre view; the teacher runs once on each."""
CROP_AREA = (0.35, 1.0)
SCHEDULE = Schedule(epochs=300)
ANSWERED_ACCURACY = 0.9
"""Share of right answers above the abstention threshold (validation)."""

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
    """Return a class folder's name in plain spelling."""
    return _SPELLING.get(class_name, class_name.replace("_", " "))
