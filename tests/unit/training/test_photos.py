"""Reading a split: order, labels, and omitted classes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.models.pictures import BLUE, GREEN, RED, plain
from training.photos import class_names, read_split
from training.recipes.everyday import golden, recipe

FILES = {"train/b/2.jpg": GREEN, "train/a/1.jpg": RED, "train/people/1.jpg": BLUE}


@pytest.fixture
def split(tmp_path: Path) -> Path:
    archive = tmp_path / "train.tar"
    with tarfile.open(archive, "w") as tar:
        for name, colour in FILES.items():
            data = plain(colour, format="JPEG")
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive


def test_class_names_are_sorted_folder_names(split: Path) -> None:
    assert class_names(split) == ["a", "b", "people"]


def test_photos_are_sorted_with_the_label_of_their_folder(split: Path) -> None:
    photos = read_split(split, ["a", "b"])
    assert [(photo.name, photo.label) for photo in photos] == [("a/1.jpg", 0), ("b/2.jpg", 1)]
    assert photos[0].decode().getpixel((0, 0)) == (254, 0, 0)


def test_golden_pictures_are_deterministic() -> None:
    assert golden.pictures() == golden.pictures()


@pytest.mark.parametrize(
    ("folder", "label"),
    [("yin_yang", "yin-yang"), ("stop_sign", "stop sign"), ("car_side", "car"), ("crab", "crab")],
)
def test_folder_names_become_readable_labels(folder: str, label: str) -> None:
    assert recipe.label(folder) == label
