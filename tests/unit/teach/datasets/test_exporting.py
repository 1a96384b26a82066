"""Exports, and their way back."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from schemas.errors import NotFound
from schemas.teach.dataset import DatasetKind, ExportFormat
from service.teach.datasets.exporting.rows import Predicted, Predictions
from tests.support.teach.kit import ANNA, NAME, Kit

pytestmark = pytest.mark.anyio
ODD = ("a/b", "..", "_unlabelled", "=1+2", 'say "x", y', "CON:", ".hidden")


async def exported(
    kit: Kit, form: ExportFormat, predictions: Predictions | None = None, name: str = NAME
) -> bytes:
    opened = await kit.datasets.exporter.open(name, form, by=ANNA, predictions=predictions)
    return b"".join([piece async for piece in opened])


async def rows(kit: Kit, name: str = NAME) -> list[object]:
    return [
        (one.digest, one.labels, one.group, one.captured)
        for one in await kit.datasets.photos.all(name)
    ]


async def filled(kit: Kit) -> None:
    """A dataset with class names that are no names of folders."""
    await kit.add_dataset(*ODD)
    for number, label in enumerate(ODD):
        await kit.add_photo(number, label, group="g 1" if number == 1 else None)
    await kit.add_photo(99)


async def test_an_exported_archive_is_the_same_dataset(kit: Kit, tmp_path: Path) -> None:
    await filled(kit)
    data = await exported(kit, ExportFormat.FOLDERS)
    file = tmp_path / "bins.zip"
    file.write_bytes(data)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = [name for name in archive.namelist() if name != "labels.csv"]
    assert all(name.count("/") == 1 and not name.startswith((".", "/")) for name in names)
    await kit.add_dataset(name="again")
    report = await kit.import_from(file, name="again")
    assert (report.added, report.refused) == (len(ODD) + 1, 0)
    assert await rows(kit, "again") == await rows(kit)
    assert await exported(kit, ExportFormat.FOLDERS) != b""


async def test_many_labels_survive_an_archive(kit: Kit, tmp_path: Path) -> None:
    await kit.add_dataset("a", "b", kind=DatasetKind.MULTI)
    await kit.add_photo(1, "a", "b")
    await kit.add_photo(2, "a")
    none = await kit.add_photo(3)
    await kit.datasets.photos.set_labels(NAME, [none.id], [], by=ANNA)
    (tmp_path / "x.zip").write_bytes(await exported(kit, ExportFormat.FOLDERS))
    await kit.add_dataset(name="again", kind=DatasetKind.MULTI)
    await kit.import_from(tmp_path / "x.zip", name="again")
    assert await kit.labels("again") == [("a", "b"), ("a",), ()]


async def test_csv_has_predictions_if_there_are_some(kit: Kit) -> None:
    await kit.add_dataset("a")
    first, second = await kit.add_photo(1, "a"), await kit.add_photo(2)
    plain = list(csv.DictReader(io.StringIO((await exported(kit, ExportFormat.CSV)).decode())))
    assert [one["label"] for one in plain] == ["a", ""]
    assert "predicted" not in plain[0]
    predictions = {
        first.id: Predicted("a", 0.98765432, "bins/1"),
        second.id: Predicted(None, None, "bins/1"),
    }
    text = (await exported(kit, ExportFormat.CSV, predictions)).decode()
    found = list(csv.DictReader(io.StringIO(text)))
    assert [(one["predicted"], one["score"]) for one in found] == [("a", "0.987654"), ("", "")]
    assert [one["id"] for one in found] == [first.id, second.id]


async def test_tasks_carry_labels_and_predictions_and_come_back(kit: Kit) -> None:
    await kit.add_dataset("a", "b")
    first, second = await kit.add_photo(1, "a", group="g"), await kit.add_photo(2)
    predictions = {second.id: Predicted("b", 0.5, "bins/1")}
    data = await exported(kit, ExportFormat.LABEL_STUDIO, predictions)
    tasks = json.loads(data)
    assert [task["data"]["digest"] for task in tasks] == [first.digest, second.digest]
    assert tasks[0]["annotations"][0]["result"][0]["value"] == {"choices": ["a"]}
    assert tasks[0]["data"]["group"] == "g"
    assert tasks[1]["annotations"] == []
    assert tasks[1]["predictions"][0]["score"] == 0.5
    tasks[1]["annotations"] = [{"result": tasks[1]["predictions"][0]["result"]}]
    report = await kit.datasets.archives.tasks(
        NAME, json.dumps(tasks).encode(), by=ANNA, replaces_labels=False
    )
    assert (report.duplicates, report.labelled) == (2, 1)
    assert await kit.labels() == [("a",), ("b",)]


@pytest.mark.parametrize("form", ExportFormat)
async def test_an_empty_dataset_is_exported(kit: Kit, form: ExportFormat) -> None:
    with pytest.raises(NotFound):
        await exported(kit, form)
    await kit.add_dataset()
    data = await exported(kit, form)
    if form is ExportFormat.FOLDERS:
        assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["labels.csv"]
    elif form is ExportFormat.CSV:
        assert data.startswith(b"path,label")
    else:
        assert json.loads(data) == []


async def test_a_missing_file_is_left_out(kit: Kit) -> None:
    await kit.add_dataset()
    added = await kit.add_photo(1)
    await kit.add_photo(2)
    kit.datasets.files.path(added.digest).unlink()
    for form in ExportFormat:
        assert added.digest[:16].encode() not in await exported(kit, form)
