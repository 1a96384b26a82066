"""Photos to fit and evaluate the default model, with the names that a person would accept.

``accepted.csv`` gives the names for each folder of a set. Where the network has a folder's class,
they are labels; where it has it in part, only a group (a rose is a flower). Photos for fitting and
for evaluation are disjoint.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.imagenet.drawings import KINDS, ErrorFormat, draw

ACCEPTED = Path(__file__).with_name("accepted.csv")
DRAWINGS, MIXED, PUBLIC, OPEN = "drawings", "mixed", "public", "open"
SPLIT, LICENSED = ("caltech96", "trashnet6"), ("flowers", "clothing", MIXED)
COLLECTIONS = (*SPLIT, *LICENSED, PUBLIC, OPEN, DRAWINGS)
DRAWN_OF_A_KIND = 60
WITHOUT_FLOWERS = frozenset({"public-domain-recipes", "boofcv", "coco-ccby", "lire-sportscars"})
"""Sources of ``mixed`` without flowers; the other sources have some."""
FLOWERS_OF_CALTECH = frozenset({"lotus", "sunflower", "water_lilly"})


@dataclass(frozen=True, slots=True)
class Photo:
    """An image file and its known content.

    ``names``: accepted names, empty if unknown; ``group``: its folder, the kind of a drawing, or
    the source of a photo of ``mixed``.
    """

    data: bytes
    collection: str
    group: str
    manner: ErrorFormat
    names: tuple[str, ...] = ()


def photos(shared: Path, wanted: Collection[str] = COLLECTIONS) -> Iterator[Photo]:
    """Yield the photos and drawings of some collections, always in the same order."""
    for collection in COLLECTIONS:
        if collection in wanted:
            yield from _collection(shared, collection)


def _collection(shared: Path, name: str) -> Iterator[Photo]:
    accepted = read_accepted()
    if name in SPLIT:
        for split in ("train", "val", "test"):
            manner: ErrorFormat = "judge" if split == "test" else "fit"
            for folder, _, data in _tar(shared / "training" / name / f"{split}.tar"):
                yield Photo(data, name, folder, manner, accepted.get((name, folder), ()))
    elif name in LICENSED:
        for folder, file, data in _tar(shared / "photos/licensed" / f"{name}.tar.gz"):
            names = accepted.get((name, folder), ())
            group = Path(file).parent.parent.name if name == MIXED else folder
            yield Photo(data, name, group, _half(file), names)
    elif name == PUBLIC:
        with (shared / "photos/public/labels.csv").open(encoding="utf-8") as opened:
            for row in csv.DictReader(opened):
                data = (shared / "photos/public" / row["file"]).read_bytes()
                yield Photo(data, PUBLIC, row["imagenet_index"], "judge")
    elif name == OPEN:
        for path in sorted((shared / "photos/open").iterdir()):
            names = accepted.get((OPEN, path.name), ())
            yield Photo(path.read_bytes(), OPEN, path.name, "judge", names)
    else:
        yield from drawn("fit", DRAWN_OF_A_KIND)
        yield from drawn("judge", DRAWN_OF_A_KIND)


def drawn(manner: ErrorFormat, each: int) -> Iterator[Photo]:
    """Yield ``each`` drawings of every kind, without accepted names."""
    for kind, picture in draw(manner, each):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        yield Photo(buffer.getvalue(), DRAWINGS, kind, manner)


def read_accepted() -> dict[tuple[str, str], tuple[str, ...]]:
    """Read the accepted names, by set and folder."""
    with ACCEPTED.open(encoding="utf-8", newline="") as opened:
        return {
            (row["set"], row["folder"]): tuple(row["names"].split("|"))
            for row in csv.DictReader(opened)
        }


def count_expected() -> int:
    """Estimate the number of photos, for progress."""
    return 18_000 + 2 * DRAWN_OF_A_KIND * len(KINDS)


def _tar(file: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield folder, path and content of the images in an archive, sorted by path."""
    with tarfile.open(file) as archive:
        members = sorted((one for one in archive if one.isfile()), key=lambda one: one.name)
        for member in members:
            path = Path(member.name)
            opened = archive.extractfile(member)
            if opened is not None and path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
                yield path.parent.name, member.name, opened.read()


def _half(file: str) -> ErrorFormat:
    """Assign half of the photos to fitting, by the hash of their names."""
    return "fit" if hashlib.sha256(file.encode()).digest()[0] % 2 else "judge"
