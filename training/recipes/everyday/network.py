"""The layers of the everyday classifier."""

from __future__ import annotations

from training.networks import Stage, Student

STEM = 32
STAGES = [
    Stage("basic", 48, 2),
    Stage("basic", 64, 2),
    Stage("basic", 64, 1),
    Stage("basic", 192, 2),
    Stage("basic", 192, 1),
]


def make_student(classes: int, teacher_features: int | None) -> Student:
    """An untrained network."""
    return Student(STEM, STAGES, classes, teacher_features)
