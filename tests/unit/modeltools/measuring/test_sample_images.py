"""Labelled images from folders and lists, by all names of a label."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.models import ModelManifest
from service.modeltools.measuring.label_names import LabelNames
from service.modeltools.measuring.sample_images import CannotReadImages, find_images
from service.modeltools.sources.built_in import BUNDLED_MODELS

LABELS = ("tabby", "Egyptian cat", "yin-yang", "stop sign", "crane", "crane")


def manifest(**members: object) -> ModelManifest:
    text = (BUNDLED_MODELS / "everyday/1/manifest.json").read_bytes()
    plain = ModelManifest.model_validate_json(text).model_dump()
    return ModelManifest.model_validate({**plain, **members})


@pytest.fixture
def names() -> LabelNames:
    described = manifest(
        groups={"tabby": "cat", "Egyptian cat": "cat", "cat": "animal"},
        synonyms={"tabby": ("tabby cat", "cat", "moggy"), "stop sign": ("moggy",), "no": ("x",)},
    )
    return LabelNames.of(described, LABELS)


def picture(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    return folder / name


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("tabby", (0, "tabby")),
        ("TABBY", (0, "tabby")),
        (" egyptian_cat ", (1, "Egyptian cat")),
        ("yin yang", (2, "yin-yang")),
        ("Stop-Sign", (3, "stop sign")),
        ("tabby cat", (0, "tabby")),
        ("cat", (None, "cat")),
        ("Animal", (None, "animal")),
    ],
)
def test_name_resolves_to_a_label_or_group(
    names: LabelNames, text: str, meant: tuple[int | None, str]
) -> None:
    assert names.resolve(text) == meant


@pytest.mark.parametrize("text", ["crane", "moggy", "dog", "x", ""])
def test_unknown_and_ambiguous_names_resolve_to_none(names: LabelNames, text: str) -> None:
    assert names.resolve(text) == (None, None)


def test_accents_match_in_any_unicode_normalisation() -> None:
    names = LabelNames.of(manifest(), ["caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
    assert names.resolve("cafe\N{COMBINING ACUTE ACCENT}")[0] == 0


def test_labels_are_taken_from_folder_names(names: LabelNames, tmp_path: Path) -> None:
    for folder in ("Stop_Sign", "yin-yang", "cat", "elsewhere"):
        picture(tmp_path / folder, "a.PNG")
    picture(tmp_path, "loose.jpg")
    picture(tmp_path / "cat", "notes.txt")
    (tmp_path / "folder.jpg").mkdir()
    found = find_images(tmp_path, names)
    assert {image.file.relative_to(tmp_path).as_posix(): image.name for image in found.images} == {
        "Stop_Sign/a.PNG": "stop sign",
        "yin-yang/a.PNG": "yin-yang",
        "cat/a.PNG": "cat",
        "elsewhere/a.PNG": None,
        "loose.jpg": None,
    }
    assert {image.label for image in found.images if image.name == "cat"} == {None}
    assert found.unknown == {"elsewhere": 1}
    assert "1 images have labels that the model does not know: 'elsewhere' (1)" in found.remarks()


def test_image_order_is_shuffled_deterministically(names: LabelNames, tmp_path: Path) -> None:
    files = [picture(tmp_path / "tabby", f"{number:02}.jpg") for number in range(30)]
    found = [image.file for image in find_images(tmp_path, names).images]
    assert found != files
    assert sorted(found) == files
    assert found == [image.file for image in find_images(tmp_path, names).images]


def test_links_are_followed_without_loops(names: LabelNames, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    picture(tmp_path / "elsewhere", "a.jpg")
    picture(folder / "tabby", "b.jpg")
    (folder / "aaa").symlink_to(folder / "tabby")
    (folder / "stop sign").symlink_to(tmp_path / "elsewhere")
    (folder / "tabby/again").symlink_to(folder)
    (folder / "tabby/c.jpg").symlink_to(tmp_path / "elsewhere/a.jpg")
    (folder / "tabby/gone.jpg").symlink_to(tmp_path / "gone.jpg")
    found = find_images(folder, names)
    assert sorted((image.file.name, image.name) for image in found.images) == [
        ("a.jpg", "stop sign"),
        ("b.jpg", "tabby"),
        ("c.jpg", "tabby"),
    ]


def test_list_gives_files_and_labels(names: LabelNames, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d, e.jpg"):
        picture(tmp_path / "photos", name)
    listed = tmp_path / "photos.csv"
    listed.write_text(
        "\ufefflabel,File,note\n"
        "tabby cat,photos/a.jpg,x\n"
        f"animal,{tmp_path / 'photos/b.jpg'}\n"
        "dog,photos/c.jpg,\n"
        ',"photos/d, e.jpg"\n'
    )
    found = find_images(listed, names)
    assert sorted((image.file.name, image.label, image.name) for image in found.images) == [
        ("a.jpg", 0, "tabby"),
        ("b.jpg", None, "animal"),
        ("c.jpg", None, None),
        ("d, e.jpg", None, None),
    ]
    assert found.unknown == {"dog": 1}
    assert found.unreadable == []


def test_list_may_give_alternative_labels(names: LabelNames, tmp_path: Path) -> None:
    texts = {
        "a.jpg": "dog|cat| Stop Sign |tabby|cat",
        "b.jpg": "dog|Animal",
        "c.jpg": "dog|teapot",
        "d.jpg": "|tabby cat|",
    }
    listed = tmp_path / "photos.csv"
    listed.write_text("\n".join(["file,label", *map(",".join, texts.items())]))
    for name in texts:
        picture(tmp_path, name)
    found = find_images(listed, names)
    assert sorted((image.file.name, image.label, image.names) for image in found.images) == [
        ("a.jpg", 3, ("cat", "stop sign", "tabby")),
        ("b.jpg", None, ("animal",)),
        ("c.jpg", None, ()),
        ("d.jpg", 0, ("tabby",)),
    ]
    assert found.unknown == {"dog|teapot": 1}


def test_label_may_contain_the_alternative_separator(tmp_path: Path) -> None:
    picture(tmp_path / "a|b", "x.jpg")
    found = find_images(tmp_path, LabelNames.of(manifest(), ["b", "a|b"]))
    assert [(image.label, image.names) for image in found.images] == [(1, ("a|b",))]


def test_unusable_rows_are_reported(names: LabelNames, tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg")
    picture(tmp_path, "notes.txt")
    (tmp_path / "b.jpg").mkdir()
    listed = tmp_path / "list.csv"
    rows = ["a.jpg,tabby", "a.jpg,tabby", "gone.jpg,tabby", "notes.txt,tabby", "b.jpg,x", ",tabby"]
    long = "x" * 5000 + ".jpg,tabby"
    listed.write_text("\n".join(["file,label", *rows, long]) + "\n")
    found = find_images(listed, names)
    assert [image.file.name for image in found.images] == ["a.jpg"]
    assert found.unreadable[:5] == [
        "list.csv, line 3: 'a.jpg' is listed already",
        "list.csv, line 4: there is no file 'gone.jpg'",
        "list.csv, line 5: 'notes.txt' is not called like an image",
        "list.csv, line 6: there is no file 'b.jpg'",
        "list.csv, line 7: no file is named",
    ]
    assert len(found.unreadable) == 6
    assert found.remarks()[5] == "1 more rows cannot be used"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with the line 'file,label'"),
        (b"path,class\na.jpg,tabby\n", "must begin with the line 'file,label'"),
        (b"file;label\na.jpg;tabby\n", "must begin with the line 'file,label'"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (b'file,label\n"a.jpg,tabby\n', "cannot be read as CSV"),
    ],
)
def test_malformed_list_is_refused(
    names: LabelNames, tmp_path: Path, content: bytes, message: str
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_bytes(content)
    with pytest.raises(CannotReadImages, match=message):
        find_images(listed, names)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_list_is_refused(names: LabelNames, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("file,label\n")
    listed.chmod(0)
    with pytest.raises(CannotReadImages, match="cannot be read"):
        find_images(listed, names)
