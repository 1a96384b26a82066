"""What folders, lists and tasks say; without a dataset."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.teach.datasets.importing.containers import FolderContainer
from service.teach.datasets.importing.csv_list import from_csv, labels_in
from service.teach.datasets.importing.folders import from_folders
from service.teach.datasets.importing.label_studio import from_tasks
from service.teach.datasets.importing.listing import Found, Refused, is_ignored, safe_name, shown
from service.teach.datasets.importing.reading import ImportLimits, list_container, open_source
from tests.support.teach.kit import photo, write_tree

LIMITS = ImportLimits(files=50, bytes=2**20)


def tree(*names: str) -> list[tuple[str | None, str | None]]:
    return [
        (None if one.labels is None else one.labels[0], one.group) for one in from_folders(names)
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["glass/1.jpg", "paper/2.jpg"], [("glass", None), ("paper", None)]),
        (["bins/glass/1.jpg", "bins/paper/2.jpg"], [("glass", None), ("paper", None)]),
        (["a/b/glass/1.jpg", "a/b/paper/2.jpg"], [("glass", None), ("paper", None)]),
        (["train/glass/1.jpg", "test/glass/2.jpg"], [("glass", None), ("glass", None)]),
        (["bins/Train/glass/1.jpg", "bins/val/paper/2.jpg"], [("glass", None), ("paper", None)]),
        (["glass/1.jpg", "2.jpg"], [("glass", None), (None, None)]),
        (["1.jpg", "2.jpg"], [(None, None), (None, None)]),
        (["glass/1.jpg"], [("glass", None)]),
        (["glass/monday/1.jpg", "glass/2.jpg"], [("glass", "glass/monday"), ("glass", None)]),
        (["glass/mon/1.jpg", "paper/tue/2.jpg"], [("glass", "glass/mon"), ("paper", "paper/tue")]),
        (["_unlabelled/1.jpg", "glass/2.jpg"], [(None, None), ("glass", None)]),
        ([], []),
    ],
)
def test_folders_say_classes_and_groups(
    names: list[str], expected: list[tuple[str | None, str | None]]
) -> None:
    assert tree(*names) == expected


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x.jpg", "a/../../x.jpg", "C:/x.jpg", "c:x", "..", "", "a\0b", "\\x"]
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        safe_name(name)


def test_names_are_shortened_to_one_form() -> None:
    assert safe_name("./a//b\\c.jpg") == "a/b/c.jpg"
    assert safe_name("ünï/日本.jpg") == "ünï/日本.jpg"
    assert shown("a\x1b[31m" + "b" * 400).startswith("a\N{REPLACEMENT CHARACTER}[31m")
    assert len(shown("b" * 400)) < 300


@pytest.mark.parametrize("name", [".DS_Store", "a/Thumbs.db", "__MACOSX/a/._1.jpg", ".git/x"])
def test_files_of_operating_systems_are_ignored(name: str) -> None:
    assert is_ignored(name)


def rows(text: str) -> list[Found | Refused]:
    def find(name: str) -> str:
        if name == "gone.jpg":
            raise InvalidRequest("There is no such file.")
        return name

    return list(from_csv(text.encode(), find))


def test_a_list_has_labels_groups_and_times() -> None:
    found = rows(
        "\N{BOM}Path;Label;group;captured\n"
        "a/1.jpg;glass;burst 1;2026-11-30T14:05:00+01:00\n"
        "2.jpg;;;2026-11-30 13:05:00\n"
    )
    at = datetime(2026, 11, 30, 13, 5, tzinfo=UTC).timestamp()
    assert found == [
        Found("a/1.jpg", "a/1.jpg", ("glass",), "burst 1", at),
        Found("2.jpg", "2.jpg", None, None, at),
    ]


def test_bad_lines_of_a_list_do_not_affect_the_others() -> None:
    found = rows(
        "path,label,captured\ngone.jpg,a,\n../x.jpg,a,\n1.jpg,a,yesterday\n\n2.jpg,a,\n3.jpg\n"
    )
    assert [isinstance(one, Refused) for one in found] == [True, True, True, False, False]
    assert [one.name for one in found] == ["gone.jpg", "../x.jpg", "1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize("text", ["", "name,kind\na,b\n", "path\n1.jpg\n"])
def test_a_list_without_the_columns_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="path and label"):
        rows(text)
    with pytest.raises(InvalidRequest, match="UTF-8"):
        list(from_csv(b"path,label\n\xff.jpg,a\n", lambda name: name))


def test_cells_of_labels() -> None:
    assert labels_in("cat; dog") == ("cat", "dog")
    assert (labels_in(" "), labels_in("-")) == (None, ())


def task(image: object, *choices: str, **more: object) -> dict[str, object]:
    result = [{"type": "choices", "value": {"choices": list(choices)}}]
    return {"data": {"image": image}, "annotations": [{"result": result}], **more}


def test_tasks_of_label_studio_find_their_files() -> None:
    files = {"a/1.jpg", "2.jpg", "3 x.jpg"}
    tasks = [
        task("a/1.jpg", "glass"),
        task("/data/upload/7/0a1b2c3d-2.jpg", "paper"),
        task("/data/local-files/?d=a/1.jpg", "glass"),
        task("https://example.org/3%20x.jpg?token=1", "paper"),
        task("../../etc/passwd", "paper"),
        task("gone.jpg", "paper"),
        {"data": {"image": "2.jpg"}, "annotations": []},
        {"data": {"image": "2.jpg"}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"data": {"image": "2.jpg"}, "annotations": [{"result": [{"value": {"text": ["x"]}}]}]},
    ]
    found = list(
        from_tasks(json.dumps(tasks).encode(), lambda name: name if name in files else None)
    )
    shown_files = [one.file if isinstance(one, Found) else None for one in found]
    assert shown_files == [
        *("a/1.jpg", "2.jpg", "a/1.jpg", "3 x.jpg"),
        *(None, None, "2.jpg", "2.jpg", None),
    ]
    assert [one.labels for one in found if isinstance(one, Found)] == [
        *(("glass",), ("paper",), ("glass",), ("paper",)),
        *(None, None),
    ]


@pytest.mark.parametrize("data", [b"{", b"{}", b"[1]", b'[{"image": 1}]', b"[" * 10_000])
def test_json_that_is_no_list_of_tasks_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        list(from_tasks(data, lambda name: name))


def test_links_and_special_files_of_a_folder_are_refused(tmp_path: Path) -> None:
    outside = write_tree(tmp_path / "outside", {"secret.jpg": photo(1)})
    folder = write_tree(tmp_path / "in", {"glass/1.jpg": photo(2), "glass/.hidden": b""})
    (folder / "glass" / "2.jpg").symlink_to(outside / "secret.jpg")
    (folder / "paper").symlink_to(outside)
    container = FolderContainer(folder, max_files=10)
    names = [one if isinstance(one, str) else one.name for one in container.names()]
    assert sorted(names) == ["glass/1.jpg", "glass/2.jpg", "paper"]
    assert [one for one in container.names() if isinstance(one, str)] == ["glass/1.jpg"]
    assert not container.has("paper/secret.jpg")
    assert not container.has("glass/2.jpg")
    with pytest.raises(InvalidRequest):
        container.read("glass/2.jpg", 100)
    with pytest.raises(PayloadTooLarge):
        container.read("glass/1.jpg", 10)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path) -> None:
    folder = write_tree(tmp_path, {f"a/{number}": b"" for number in range(3)})
    with pytest.raises(PayloadTooLarge, match="2 files"):
        list_container(FolderContainer(folder, max_files=2))


def test_a_list_beside_its_photos_is_read(tmp_path: Path) -> None:
    folder = write_tree(
        tmp_path,
        {
            "in/labels.csv": "path,label\nglass/1.jpg,x\nglass/1.jpg,x\nglass/1.jpg,y\n2.jpg,x\n",
            "in/glass/1.jpg": photo(1),
            "more.json": json.dumps([task("1.jpg", "z")]),
        },
    )
    for path in (folder, folder / "in", folder / "in" / "labels.csv"):
        with open_source(path, LIMITS) as source:
            if path == folder:  # the folder has several things: folders of classes
                assert source.listing.format == "label-studio"
                continue
            assert source.listing.format == "csv"
            labels = [one.labels for one in source.listing.entries if isinstance(one, Found)]
            assert labels == [("x",), ("y",)]
            assert len([one for one in source.listing.entries if isinstance(one, Refused)]) == 1
    with open_source(folder / "more.json", LIMITS) as source:
        (entry,) = source.listing.entries
        assert isinstance(entry, Found)
        assert (entry.file, entry.labels) == ("in/glass/1.jpg", ("z",))
