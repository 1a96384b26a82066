"""Imports into a dataset, with bad input and faults."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from auth.store.database import Database
from schemas.errors import Conflict, NotFound, Overloaded
from schemas.teach.dataset import DatasetKind, NewPhotoOptions
from service.teach.choosing.perceptual_hash import hash_of
from service.teach.datasets.store import files as photo_files
from service.teach.datasets.store.files import DiskFull, PhotoFiles
from tests.support.auth.identity_kit import Log
from tests.support.models.pictures import blobs, encoded, gradient
from tests.support.teach.kit import NAME, Kit, Members, archive, open_kit, photo, write_tree

pytestmark = pytest.mark.anyio


def written(folder: Path, data: bytes) -> Path:
    file = folder / "photos.zip"
    file.write_bytes(data)
    return file


async def test_a_folder_for_each_class_becomes_labels(kit: Kit, tmp_path: Path, log: Log) -> None:
    await kit.add_dataset("Paper")
    members = {"glass/1.png": photo(1), "glass/2.png": photo(2), "paper /3.png": photo(3)}
    report = await kit.import_from(write_tree(tmp_path / "in", members))
    assert (report.format, report.files, report.added, report.refused) == ("folders", 3, 3, 0)
    assert report.new_classes == ["glass"]
    assert [(one.given, one.used) for one in report.merged_classes] == [("paper ", "Paper")]
    assert await kit.labels() == [("glass",), ("glass",), ("Paper",)]
    (line,) = [line for line in log if line["event"] == "dataset_imported"]
    assert (line["dataset"], line["added"]) == (NAME, 3)


async def test_a_zip_file_and_a_folder_are_imported_alike(kit: Kit, tmp_path: Path) -> None:
    members = {f"bins/{label}/{number}.png": photo(number) for number, label in enumerate("abcab")}
    await kit.add_dataset()
    await kit.add_dataset(name="other")
    await kit.import_from(written(tmp_path, archive(members)))
    await kit.import_from(write_tree(tmp_path / "in", members), name="other")
    rows = [
        sorted((one.digest, one.labels) for one in await kit.datasets.photos.all(name))
        for name in (NAME, "other")
    ]
    assert rows[0] == rows[1]
    assert len(kit.files()) == 5, "both datasets refer to the same files"


async def test_bad_files_are_reported_and_the_others_imported(kit: Kit, tmp_path: Path) -> None:
    await kit.add_dataset()
    jpeg = encoded(gradient((300, 200)), "JPEG")
    members = {
        "a/good.png": photo(1),
        "a/cut.jpg": jpeg[:-300],
        "a/text.jpg": b"no image",
        "a/empty.jpg": b"",
        "a/page.svg": b"<svg onload='alert(1)'/>",
        "a/png-called.jpg": photo(2),
        "../a/out.png": photo(3),
        "a/inner.zip": archive({"x.png": photo(4)}),
        f"{'x' * 101}/long.png": photo(5),
    }
    report = await kit.import_from(written(tmp_path, archive(members)))
    assert (report.files, report.added, report.refused) == (9, 2, 7)
    reasons = {one.file[:20]: one.code for one in report.refused_files}
    assert reasons == {
        "a/cut.jpg": "invalid_image",
        "a/text.jpg": "unsupported_image",
        "a/empty.jpg": "invalid_image",
        "a/page.svg": "unsupported_image",
        "../a/out.png": "invalid_request",
        "a/inner.zip": "unsupported",
        "x" * 20: "invalid_request",
    }
    assert all(one.reason for one in report.refused_files)
    shown = await kit.datasets.administration.show(NAME)
    assert [one.name for one in shown.classes] == ["a"]


async def test_one_photo_with_two_labels_is_reported(kit: Kit, tmp_path: Path) -> None:
    await kit.add_dataset()
    members = {"a/1.png": photo(1), "b/1.png": photo(1), "a/copy.png": photo(1), "1.png": photo(1)}
    report = await kit.import_from(write_tree(tmp_path / "in", members))
    assert (report.added, report.duplicates, report.contradicted) == (1, 3, 1)
    labels = await kit.labels()
    (one,) = report.contradictions
    assert labels == [tuple(one.kept)]
    again = await kit.import_from(tmp_path / "in")
    assert (again.added, again.duplicates, again.contradicted) == (0, 4, 1)


async def test_labels_replace_those_of_the_dataset_only_if_asked_for(
    kit: Kit, tmp_path: Path
) -> None:
    await kit.add_dataset("a", "b")
    await kit.add_photo(1)
    await kit.add_photo(2, "a")
    listed: Members = {
        "labels.csv": "path,label\n1.png,b\n2.png,b\n",
        "1.png": photo(1),
        "2.png": photo(2),
    }
    folder = write_tree(tmp_path / "in", listed)
    report = await kit.import_from(folder)
    assert (report.labelled, report.contradicted) == (1, 1)
    assert await kit.labels() == [("b",), ("a",)]
    report = await kit.import_from(folder, replaces_labels=True)
    assert (report.labelled, report.contradicted) == (1, 0)
    assert await kit.labels() == [("b",), ("b",)]


async def test_a_list_gives_groups_times_and_many_labels(kit: Kit, tmp_path: Path) -> None:
    await kit.add_dataset(kind=DatasetKind.MULTI)
    members: Members = {
        "in/labels.csv": "path,label,group,captured\n"
        "1.png,cat;Dog,g,2026-11-30T12:00:00Z\n2.png,-,,\n3.png,,,\n4.png,dog,,\n",
        **{f"in/{number}.png": photo(number) for number in (1, 2, 3, 4)},
    }
    report = await kit.import_from(written(tmp_path, archive(members)))
    assert (report.format, report.added, report.refused) == ("csv", 4, 0)
    assert await kit.labels() == [("Dog", "cat"), (), None, ("Dog",)]
    first = (await kit.datasets.photos.all(NAME))[0]
    assert (first.group, first.captured) == ("g", 1796040000.0)


async def test_a_photo_with_many_labels_is_refused_by_a_single_dataset(
    kit: Kit, tmp_path: Path
) -> None:
    await kit.add_dataset()
    members: Members = {"labels.csv": "path,label\n1.png,a;b\n", "1.png": photo(1)}
    report = await kit.import_from(write_tree(tmp_path / "in", members))
    assert (report.added, report.refused) == (0, 1)
    assert "one label" in report.refused_files[0].reason
    assert kit.files() == []


async def test_tasks_label_photos_that_are_there(kit: Kit) -> None:
    await kit.add_dataset("a")
    added = await kit.add_photo(1)
    result = [{"value": {"choices": ["a"]}}]
    tasks = [
        {"data": {"image": "gone.png", "digest": digest}, "annotations": [{"result": result}]}
        for digest in (added.digest, "0" * 64)
    ]
    report = await kit.datasets.archives.tasks(
        NAME, json.dumps(tasks).encode(), by="ben", replaces_labels=False
    )
    assert (report.labelled, report.refused, report.duplicates) == (1, 1, 1)
    (stored,) = await kit.datasets.photos.all(NAME)
    assert (stored.labels, stored.labelled_by) == (("a",), "ben")


async def test_an_import_needs_a_dataset(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await kit.import_from(write_tree(tmp_path / "in", {"a/1.png": photo(1)}))


async def test_as_many_photos_as_fit_are_imported(embedded: Database, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "in", {f"a/{number}.png": photo(number) for number in range(9)})
    with open_kit(embedded, tmp_path / "data", max_photos=5) as kit:
        await kit.add_dataset()
        with pytest.raises(Conflict, match="5 photos were added"):
            await kit.import_from(folder)
        assert len(await kit.labels()) == len(kit.files()) == 5


async def test_a_full_disk_leaves_whole_parts(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 40  # more than one part
    members = {f"a/{number:02}.png": photo(number) for number in range(count)}
    folder = write_tree(tmp_path / "in", members)
    await kit.add_dataset()
    write, written_files = photo_files._write, list[Path]()

    def full_after_35(file: Path, image: bytes) -> None:
        if len(written_files) == 35:
            raise OSError(errno.ENOSPC, "No space left on device")
        written_files.append(file)
        write(file, image)

    monkeypatch.setattr(photo_files, "_write", full_after_35)
    with pytest.raises(DiskFull, match="32 photos were added"):
        await kit.import_from(folder)
    assert len(await kit.labels()) == len(kit.files()) == 32
    monkeypatch.undo()
    report = await kit.import_from(folder)
    assert (report.added, report.duplicates) == (count - 32, 32)


async def test_photos_leave_room_on_the_disk(embedded: Database, tmp_path: Path) -> None:
    with open_kit(embedded, tmp_path / "data", keep_free_bytes=2**50) as kit:
        await kit.add_dataset()
        with pytest.raises(DiskFull):
            await kit.add_photo(1)
        assert (await kit.labels(), kit.files()) == ([], [])


def test_a_small_disk_is_full(small_disk: Path) -> None:
    photos = PhotoFiles(small_disk)
    images = {f"{number:02x}{'0' * 62}": b"x" * 10_000 for number in range(100)}
    with pytest.raises(DiskFull):
        photos.write(images)
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    assert all(path.stat().st_size == 10_000 for path in left)


async def test_archives_take_turns(kit: Kit) -> None:
    archives = kit.datasets.archives
    with archives.turn(), archives.turn(), pytest.raises(Overloaded), archives.turn():
        pass
    with archives.turn():
        pass


async def test_photos_that_look_alike_have_hashes_that_differ_in_few_bits(kit: Kit) -> None:
    await kit.add_dataset()
    picture = blobs((300, 200))
    images = (encoded(picture), encoded(picture.resize((150, 100)), "JPEG", quality=60))
    for image in (*images, encoded(blobs((300, 200), seed=1))):
        await kit.datasets.photo_administration.add(NAME, image, NewPhotoOptions(), by="anna")
    first, second, other = [one.hash64 for one in await kit.datasets.photos.all(NAME)]
    assert first is not None
    assert second is not None
    assert other is not None
    assert (first ^ second).bit_count() <= 4
    assert (first ^ other).bit_count() > 16
    assert (first ^ hash_of(images[0])).bit_count() <= 4, "as of the whole photo"
