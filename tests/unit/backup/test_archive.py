"""Archives: damaged, forged and hostile ones are refused by name, and nothing is changed."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auth.store.database import HEAD
from service.backup.archive import read_archive, read_manifest
from service.backup.manifest import BackupRefused
from service.backup.restoring import restore
from service.settings import Settings
from tests.unit.backup.conftest import ALL, PASSPHRASE, Site, snapshot

Entry = tuple[tarfile.TarInfo, bytes]


def entries(file: Path) -> list[Entry]:
    """The members of an archive with their contents."""
    with tarfile.open(file) as tar:
        found = [(one, tar.extractfile(one)) for one in tar.getmembers()]
        return [(one, stream.read() if stream else b"") for one, stream in found]


def rewritten(file: Path, members: list[Entry]) -> Path:
    """The archive with these members instead."""
    with tarfile.open(file, "w") as tar:
        for info, content in members:
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def with_manifest(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The archive with a changed manifest."""
    first, *others = entries(file)
    manifest = json.loads(first[1])
    change(manifest)
    return rewritten(file, [(first[0], json.dumps(manifest).encode()), *others])


def is_refused(file: Path, target: Settings, message: str, passphrase: str | None = None) -> None:
    """Neither check nor restore accept it, and nothing is left behind."""
    with pytest.raises(BackupRefused, match=message):
        read_archive(file, passphrase, HEAD)
    with pytest.raises(BackupRefused, match=message):
        restore(target, file, passphrase)
    if target.data_dir.exists():
        assert snapshot(target.data_dir) == {}
        assert not list(target.data_dir.glob(".*"))


def test_archive_is_for_its_owner_and_leaves_nothing_beside_it(site: Site) -> None:
    file = site.back_up(*ALL)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {one.name for one in file.parent.iterdir()} == {"data", "site.backup"}


def test_manifest_comes_first_and_lists_every_member(site: Site) -> None:
    (first, text), *others = entries(site.back_up(*ALL))
    listed = {one["name"]: one["sha256"] for one in json.loads(text)["members"]}
    assert first.name == "manifest.json"
    assert {info.name: hashlib.sha256(content).hexdigest() for info, content in others} == listed
    assert {"database/potoo.db", "models/colours/1/model.onnx", "photos/ab/cdef"} <= set(listed)


def test_models_photos_and_their_rows_are_left_out_unless_chosen(site: Site) -> None:
    names = [member.name for member in site.manifest(site.back_up()).members]
    assert {name.split("/")[0] for name in names} == {"database", "keys", "models"}
    assert "models/colours/serving.json" in names
    assert "models/colours/1/model.onnx" not in names


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_truncated_archive_is_refused_wherever_it_ends(
    site: Site, elsewhere: Settings, passphrase: str | None
) -> None:
    file = site.back_up(*ALL, passphrase=passphrase)
    whole = file.read_bytes()
    for share in (0, 0.001, 0.3, 0.7, 0.97):
        file.write_bytes(whole[: int(len(whole) * share)])
        is_refused(file, elsewhere, "cut off|missing|no backup|damaged|first member", passphrase)


def test_changed_content_is_refused_by_its_name(site: Site, elsewhere: Settings) -> None:
    file = site.back_up(*ALL)
    file.write_bytes(file.read_bytes().replace(b"a graph", b"another", 1))
    is_refused(file, elsewhere, "models/colours/1/model.onnx is damaged")


def test_changed_encrypted_archive_is_refused(site: Site, elsewhere: Settings) -> None:
    file = site.back_up(*ALL, passphrase=PASSPHRASE)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    is_refused(file, elsewhere, "changed or cut off", PASSPHRASE)


def test_encrypted_archive_without_a_passphrase_is_refused(site: Site, elsewhere: Settings) -> None:
    is_refused(site.back_up(passphrase=PASSPHRASE), elsewhere, "is encrypted")
    assert b"sqlite" not in (site.folder / "site.backup").read_bytes().lower()


def put(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update({key: value})


def rename_first_member(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["members"][1].update(name=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", 2), "format is newer"),
        (put("migration", "9999"), "a later version, made this backup"),
        (put("migration", "0001"), f"has the revision {HEAD}, not 0001"),
        (put("potoo", 1), "potoo"),
        (put("extra", 1), "extra"),
        (put("database", "postgresql"), "must list database/potoo.dump"),
        (put("members", []), "must list database/potoo.db"),
        (rename_first_member("../../etc/passwd"), "leaves the folder"),
        (rename_first_member("/etc/passwd"), "leaves the folder"),
        (rename_first_member("keys/../../x"), "leaves the folder"),
        (rename_first_member("keys\\x"), "leaves the folder"),
        (rename_first_member("etc/passwd"), "no part of a backup"),
        (rename_first_member("keys"), "no part of a backup"),
        (rename_first_member("database/potoo.db"), "lists a file twice"),
    ],
)
def test_forged_manifest_is_refused(
    site: Site, elsewhere: Settings, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = with_manifest(site.back_up(), change)
    with pytest.raises(BackupRefused, match=message):
        restore(elsewhere, file, None)
    assert not elsewhere.data_dir.exists() or snapshot(elsewhere.data_dir) == {}


def link(kind: bytes, target: str) -> Callable[[list[Entry]], None]:
    def change(members: list[Entry]) -> None:
        info = members[2][0]
        info.type, info.linkname, info.size = kind, target, 0

    return change


def name_it(name: str) -> Callable[[list[Entry]], None]:
    return lambda members: setattr(members[2][0], "name", name)


def append(members: list[Entry]) -> None:
    members.append((tarfile.TarInfo("../../evil"), b"evil"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (link(tarfile.SYMTYPE, "/etc/passwd"), "kind or size"),
        (link(tarfile.LNKTYPE, "manifest.json"), "kind or size"),
        (link(tarfile.FIFOTYPE, ""), "kind or size"),
        (link(tarfile.CHRTYPE, ""), "kind or size"),
        (link(tarfile.DIRTYPE, ""), "kind or size"),
        (name_it("../../evil"), "where .* should be"),
        (name_it("/tmp/evil"), "where .* should be"),  # noqa: S108
        (append, "not in the manifest"),
        (lambda members: members.pop(), "missing"),
        (lambda members: members.insert(2, members[1]), "where .* should be"),
        (lambda members: members.pop(0), "first member is not"),
    ],
)
def test_hostile_members_are_refused(
    site: Site, elsewhere: Settings, change: Callable[[list[Entry]], None], message: str
) -> None:
    members = entries(site.back_up(*ALL))
    change(members)
    is_refused(rewritten(site.folder / "site.backup", members), elsewhere, message)
    assert not (site.folder / "evil").exists()


def test_foreign_file_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8" * 1000)
    with pytest.raises(BackupRefused, match="is no backup of Potoo"):
        read_manifest(tmp_path / "photo.jpg", None, HEAD)


def test_file_that_cannot_be_written_leaves_the_old_backup(site: Site) -> None:
    file = site.back_up()
    before = file.read_bytes()
    (site.settings.data_dir / "potoo.db").write_bytes(b"no database" * 1000)
    with pytest.raises(OSError, match="cannot copy"):
        site.back_up()
    assert file.read_bytes() == before
    assert {one.name for one in file.parent.iterdir()} == {"data", "site.backup"}
