"""Files and rows together: removals, kills, sweeps."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import pytest

from auth.store.database import database_url, open_database
from schemas.errors import NotFound, NotReady
from schemas.teach.dataset import NewPhotoOptions
from service.teach.datasets.photos.writing import Swept
from service.teach.datasets.store.files import digest_of
from tests.support.auth.identity_kit import Log
from tests.support.repository import ROOT
from tests.support.teach.kit import ANNA, NAME, Kit, open_kit, photo, write_tree

pytestmark = pytest.mark.anyio


async def test_a_removed_photo_takes_its_file_and_what_follows(kit: Kit) -> None:
    await kit.add_dataset()
    await kit.add_dataset(name="other")
    added = await kit.add_photo(1)
    await kit.add_photo(1, name="other")
    remove = kit.datasets.photo_administration.remove
    await remove(NAME, added.id, by=ANNA)
    assert len(kit.files()) == 1
    with pytest.raises(NotFound):
        await remove(NAME, added.id, by=ANNA)
    (other,) = await kit.datasets.photos.all("other")
    await remove("other", other.id, by=ANNA)
    assert kit.files() == []
    assert [(one.dataset, one.digests, one.unreferenced) for one in kit.removals] == [
        (NAME, frozenset({added.digest}), frozenset()),
        ("other", frozenset({added.digest}), frozenset({added.digest})),
    ]


async def test_a_sweep_removes_files_without_a_row_and_counts_rows_without_a_file(
    kit: Kit, log: Log
) -> None:
    await kit.add_dataset()
    kept, gone = await kit.add_photo(1), await kit.add_photo(2)
    files = kit.datasets.files
    orphan = digest_of(b"orphan")
    files.path(orphan).parent.mkdir(exist_ok=True)
    files.path(orphan).write_bytes(b"orphan")
    part = files.path(kept.digest).parent / ".part-killed"
    part.write_bytes(b"half")
    files.path(gone.digest).unlink()
    assert await kit.datasets.writer.sweep() == Swept(files=2, missing=1)
    assert kit.files() == [files.path(kept.digest)]
    assert kit.removals[-1].unreferenced == {orphan}
    (line,) = [line for line in log if line["event"] == "photos swept"]
    assert (line["removed_files"], line["photos_without_file"]) == (2, 1)
    assert await kit.datasets.writer.sweep() == Swept(files=0, missing=1)


async def test_a_photo_without_its_file_is_reported(kit: Kit) -> None:
    await kit.add_dataset()
    added = await kit.add_photo(1)
    kit.datasets.files.path(added.digest).unlink()
    with pytest.raises(NotFound, match="missing"):
        await kit.datasets.directory.image(NAME, added.id, None)
    # The same photo sent again does not bring a second row.
    await kit.add_photo(1)
    assert len(await kit.labels()) == 1


async def test_removals_and_additions_of_one_photo_never_lose_its_file(kit: Kit) -> None:
    await kit.add_dataset()
    await kit.add_dataset(name="other")

    async def add_and_remove(name: str) -> None:
        added = await kit.add_photo(1, name=name)
        await kit.datasets.photo_administration.remove(name, added.id, by=ANNA)
        await kit.add_photo(1, name=name)

    for _ in range(3):
        await asyncio.gather(add_and_remove(NAME), add_and_remove("other"))
        assert len(kit.files()) == 1
        for name in (NAME, "other"):
            (left,) = await kit.datasets.photos.all(name)
            await kit.datasets.photo_administration.remove(name, left.id, by=ANNA)
        assert kit.files() == []


async def test_a_failed_transaction_leaves_no_file(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kit.add_dataset()

    async def fail(*_: object) -> None:
        raise NotReady

    monkeypatch.setattr(kit.datasets.photos, "add", fail)
    with pytest.raises(NotReady):
        await kit.datasets.photo_administration.add(NAME, photo(1), NewPhotoOptions(), by=ANNA)
    assert kit.files() == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from auth.store.database import database_url, open_database
from service.teach.datasets.store import files, photos
from tests.support.teach.kit import open_kit

folder, source, step, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
count = 0

def killing(call):
    def wrapped(*arguments):
        global count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return wrapped

if step == "file":
    files._write = killing(files._write)
elif step == "rename":
    Path.replace = killing(Path.replace)
else:
    photos._values = killing(photos._values)

async def main():
    url = database_url(f"sqlite:///{folder / 'potoo.db'}", folder)
    async with open_database(url) as database:
        with open_kit(database, folder) as kit:
            if await kit.datasets.store.get("bins") is None:
                await kit.add_dataset()
            await kit.import_from(source)

asyncio.run(main())
"""


@pytest.mark.process
@pytest.mark.parametrize(("step", "number"), [("file", 34), ("rename", 33), ("row", 35)])
async def test_an_import_that_is_killed_is_finished_by_the_next_one(
    step: str, number: int, sqlite_template: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(sqlite_template, data / "potoo.db")
    source = write_tree(tmp_path / "in", {f"a/{one:02}.png": photo(one) for one in range(40)})
    command = (sys.executable, "-c", KILLED, str(data), str(source), step, str(number))
    killed = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await killed.wait() == -signal.SIGKILL
    url = database_url(f"sqlite:///{data / 'potoo.db'}", data)
    async with open_database(url) as database:
        with open_kit(database, data) as kit:
            assert (await kit.datasets.writer.sweep()).missing == 0
            assert len(kit.files()) == len(await kit.labels()) == 32, "the first part"
            report = await kit.import_from(source)
            assert (report.added, report.duplicates) == (8, 32)
            assert len(kit.files()) == len(await kit.labels()) == 40
