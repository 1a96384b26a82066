"""``potoo datasets``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.support.teach.kit import photo, write_tree
from tests.unit.cli.conftest import Potoo, failed


@pytest.fixture
def bins(potoo: Potoo, data_dir: Path, tmp_path: Path) -> str:
    members = {
        "Bins/glass/1.png": photo(1),
        "Bins/Paper/2.png": photo(2),
        "Bins/paper/3.png": photo(3),
        "Bins/paper/same.png": photo(1),
        "Bins/paper/text.jpg": b"no image",
    }
    folder = write_tree(tmp_path, members) / "Bins"
    result = potoo("datasets", "import", folder, "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "bins: 3 photos added, 1 there already, 1 files refused\nnew classes: Paper, glass\n"
    )
    assert "class 'paper' is 'Paper'" in result.stderr
    assert "paper/text.jpg: Not a JPEG" in result.stderr
    assert "keeps; not" in result.stderr
    return "bins"


def ids(potoo: Potoo, data_dir: Path, *options: str) -> list[str]:
    result = potoo("datasets", "photos", "bins", *options, "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    return [line.split("\t")[0] for line in result.stdout.splitlines()]


def test_an_import_is_shown(potoo: Potoo, data_dir: Path, bins: str) -> None:
    (line,) = potoo("datasets", "list", "--data-dir", data_dir).stdout.splitlines()
    assert line.startswith("bins\t3\t3\t")
    assert line.endswith("Paper 2, glass 1")
    shown = json.loads(potoo("datasets", "show", bins, "--data-dir", data_dir).stdout)
    assert (shown["photos"], shown["kind"]) == (3, "single")
    assert shown["created_by"].startswith("cli:")


def test_photos_are_labelled_and_listed(potoo: Potoo, data_dir: Path, bins: str) -> None:
    (first,) = ids(potoo, data_dir, "--label", "glass")
    result = potoo("datasets", "label", bins, first, "PAPER", "--data-dir", data_dir)
    assert result.stdout == f"{first}: Paper\n"
    assert len(ids(potoo, data_dir, "--label", "Paper")) == 3
    result = potoo("datasets", "label", bins, first, "--none", "--data-dir", data_dir)
    assert result.stdout == f"{first}: not labelled\n"
    assert ids(potoo, data_dir, "--unlabelled") == [first]
    failed(potoo("datasets", "label", bins, first, "wood", "--data-dir", data_dir), "no class")
    failed(potoo("datasets", "label", bins, first, "--data-dir", data_dir), "--none")
    failed(potoo("datasets", "label", bins, "0" * 20, "glass", "--data-dir", data_dir), "no photo")


def test_classes_are_renamed(potoo: Potoo, data_dir: Path, bins: str) -> None:
    change = ("datasets", "change", bins, "--data-dir", data_dir)
    assert potoo(*change, "--rename", "Paper=card").stdout == "changed bins: card 2, glass 1\n"
    result = potoo(*change, "--class", "glass", "--class", "card", "--class", "new")
    assert result.stdout == "changed bins: glass 1, card 2, new 0\n"
    failed(potoo(*change, "--class", "new"), "Photos have the label")
    failed(potoo(*change, "--rename", "glass"), "OLD=NEW")
    failed(potoo(*change), "nothing to change")


def test_an_export_is_imported_again(
    potoo: Potoo, data_dir: Path, tmp_path: Path, bins: str
) -> None:
    out = tmp_path / "out.zip"
    result = potoo("datasets", "export", bins, "--output", out, "--data-dir", data_dir)
    assert result.stdout == f"exported bins to {out}\n"
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == 4
    result = potoo("datasets", "import", out, "--name", "again", "--data-dir", data_dir)
    assert result.stdout.startswith("again: 3 photos added")
    text = potoo(
        *("datasets", "export", bins, "--format", "csv", "-o", "-", "--data-dir", data_dir)
    ).stdout
    assert len(text.splitlines()) == 4
    failed(potoo("datasets", "export", bins, "--format", "x", "--data-dir", data_dir), "--format")
    failed(potoo("datasets", "export", "none", "--data-dir", data_dir, "-o", out), "no dataset")
    assert [one.name for one in tmp_path.iterdir() if "out" in one.name] == ["out.zip"]


def test_a_photo_and_a_dataset_are_removed(potoo: Potoo, data_dir: Path, bins: str) -> None:
    first = ids(potoo, data_dir)[0]
    result = potoo("datasets", "remove", bins, "--photo", first, "--data-dir", data_dir)
    assert result.stdout == f"removed {first}\n"
    assert first not in ids(potoo, data_dir)
    assert potoo("datasets", "remove", bins, "--data-dir", data_dir).stdout == "removed bins\n"
    assert not [one for one in (data_dir / "teach").rglob("*") if one.is_file()]
    failed(potoo("datasets", "remove", bins, "--data-dir", data_dir), "no dataset")


def test_what_cannot_be_imported_is_said(potoo: Potoo, data_dir: Path, tmp_path: Path) -> None:
    data = ("--data-dir", data_dir)
    failed(potoo("datasets", "import", tmp_path / "none", *data), "No such file")
    (tmp_path / "text.zip").write_text("no zip")
    failed(potoo("datasets", "import", tmp_path / "text.zip", *data), "no zip file")
    folder = write_tree(tmp_path / "in", {"a/1.png": photo(1)})
    failed(potoo("datasets", "import", folder, "--name", "Bad Name", *data), "small letters")
    assert potoo("datasets", "import", folder, "--name", "one", *data).exit_code == 0
    failed(potoo("datasets", "import", folder, "--name", "one", "--multi", *data), "one label")
    empty = write_tree(tmp_path / "empty", {"a/x.png": b"no image"})
    result = potoo("datasets", "import", empty, "--name", "two", *data)
    assert (result.exit_code, "no photo was imported" in result.stderr) == (1, True)
