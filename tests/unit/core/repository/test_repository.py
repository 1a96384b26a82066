"""The repository on disk: its content, and atomic changes of policies."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from schemas.serving import POLICY_FILE, REPOSITORY_FILE, ServingPolicy
from service.core.repository.atomic_files import replace_file
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import promoted, with_version
from tests.support.models.tiny_model import write_model


def test_versions_of_all_models_are_found(tmp_path: Path) -> None:
    for version in (1, 9, 10, 2):
        write_model(tmp_path, version=version)
    write_model(tmp_path, name="another", version=3)
    repository = Repository(tmp_path)
    assert repository.names() == ["another", "colours"]
    assert list(repository.versions("colours")) == [1, 2, 9, 10]
    assert repository.version("colours", 9) == tmp_path / "colours/9"
    assert {name: list(shelf.versions) for name, shelf in repository.scan().items()} == {
        "another": [3],
        "colours": [1, 2, 9, 10],
    }


def test_entries_that_are_no_versions_are_ignored(tmp_path: Path) -> None:
    write_model(tmp_path)
    for name in (
        *("README.md", ".git/1", "empty", "colours/notes", "colours/.2", "drafts/v2"),
        *("colours/0", "colours/02", "colours/٣", "colours/-4", "colours/5 ", ".draft-x/other/1"),
    ):
        if name.endswith(".md"):
            (tmp_path / name).write_text("read me")
        else:
            (tmp_path / name).mkdir(parents=True)
    (tmp_path / "colours/7").write_text("a file")
    assert Repository(tmp_path).names() == ["colours"]
    assert list(Repository(tmp_path).versions("colours")) == [1]


@pytest.mark.parametrize(
    "name", ["other", "", ".", "..", "../colours", "colours/1", "COLOURS", "/"]
)
def test_unknown_or_unsafe_model_name_is_refused(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "inner")
    write_model(tmp_path)
    repository = Repository(tmp_path / "inner")
    for look in (repository.folder, repository.versions, repository.policy):
        with pytest.raises(ModelRefused, match="there is no model"):
            look(name)


def test_unreadable_model_folder_is_refused(tmp_path: Path) -> None:
    for look in (Repository(tmp_path / "missing").names, Repository(tmp_path / "missing").scan):
        with pytest.raises(ModelRefused, match="cannot read the model folder"):
            look()


def test_missing_version_is_named(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(ModelRefused, match="no version 2 of the model 'colours'"):
        Repository(tmp_path).version("colours", 2)


def test_chosen_model_is_stored_and_cleared(tmp_path: Path) -> None:
    write_model(tmp_path)
    repository = Repository(tmp_path)
    assert repository.chosen_model() is None
    repository.choose_model("colours")
    assert (tmp_path / REPOSITORY_FILE).read_text() == '{\n  "default_model": "colours"\n}\n'
    assert repository.chosen_model() == "colours"
    assert repository.names() == ["colours"]
    repository.choose_model(None)
    assert repository.chosen_model() is None


def test_unknown_model_cannot_be_chosen(tmp_path: Path) -> None:
    write_model(tmp_path)
    for name in ("other", "../colours", "colours/1", ""):
        with pytest.raises(ModelRefused, match="there is no model"):
            Repository(tmp_path).choose_model(name)
    assert not (tmp_path / REPOSITORY_FILE).exists()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "policy"),
        ("[]", "policy"),
        ('{"default_model": 1}', "default_model"),
        ('{"default_model": "../up"}', "default_model"),
        ('{"default": "colours"}', "default"),
        (" " * (64 * 2**10 + 1), "larger than 64 KiB"),
    ],
    ids=["half", "list", "number", "path", "misspelt", "huge"],
)
def test_unreadable_choice_is_refused_and_kept(tmp_path: Path, text: str, field: str) -> None:
    write_model(tmp_path)
    (tmp_path / REPOSITORY_FILE).write_text(text)
    repository = Repository(tmp_path)
    for use in (repository.chosen_model, partial(repository.choose_model, "colours")):
        with pytest.raises(ModelRefused, match=field):
            use()
    assert (tmp_path / REPOSITORY_FILE).read_text() == text


def test_changed_files_change_the_fingerprint(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    repository = Repository(tmp_path)
    prints = [repository.scan()["colours"].versions[1]]
    assert repository.scan()["colours"].versions[1] == prints[0]
    (folder / "model.onnx").write_bytes(b"shorter")
    prints.append(repository.scan()["colours"].versions[1])
    (folder / "labels.txt").write_text("red")
    prints.append(repository.scan()["colours"].versions[1])
    (folder / "golden").mkdir()
    prints.append(repository.scan()["colours"].versions[1])
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"", "policy"),
        (b"{", "policy"),
        (b"[]", "policy"),
        (b'{"default": "stable"}', "policy"),
        (b'{"default": 0}', "default"),
        (b'{"stable": 1}', "stable"),
        (b'{"labels": {"x y": 1}}', "labels"),
        (b" " * 70_000, "larger than 64 KiB"),
        (b"\xff", "policy"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_unreadable_policy_is_reported_naming_the_field(
    tmp_path: Path, text: bytes, field: str
) -> None:
    file = write_model(tmp_path).parent / POLICY_FILE
    file.write_bytes(text)
    with pytest.raises(ModelRefused) as caught:
        Repository(tmp_path).policy("colours")
    assert str(caught.value).startswith(str(file))
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)
    shelf = Repository(tmp_path).scan()["colours"]
    assert (shelf.policy, shelf.fault) == (None, str(caught.value))


def test_policy_is_replaced_atomically_only_when_changed(tmp_path: Path) -> None:
    file = write_model(tmp_path).parent / POLICY_FILE
    repository = Repository(tmp_path)
    assert repository.policy("colours") == ServingPolicy()
    changed = repository.change_policy("colours", lambda policy: promoted(policy, 1, 1))
    assert repository.policy("colours") == changed
    before = file.stat().st_ino
    assert repository.change_policy("colours", lambda policy: policy) == changed
    assert file.stat().st_ino == before, "nothing changed, so nothing was written"
    assert [path.name for path in file.parent.glob(".*")] == []


def test_concurrent_policy_changes_are_serialised(tmp_path: Path) -> None:
    write_model(tmp_path)

    def load(first: int) -> None:
        for number in range(first, 61, 4):
            Repository(tmp_path).change_policy("colours", partial(with_version, version=number))

    threads = [threading.Thread(target=load, args=(first,)) for first in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Repository(tmp_path).policy("colours").load == tuple(range(1, 61))


def test_failed_policy_write_keeps_the_old_policy(small_disk: Path) -> None:
    write_model(small_disk)
    repository = Repository(small_disk)
    old = repository.change_policy("colours", lambda policy: promoted(policy, 1, 1))
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)
    with pytest.raises(OSError, match="No space left"):
        repository.change_policy("colours", lambda policy: promoted(policy, 2, 1))
    assert repository.policy("colours") == old
    assert [path.name for path in (small_disk / "colours").glob(".*")] == []


PROMOTE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from service.core.repository.repository import Repository
from service.core.repository.serving_policy import promoted
repository = Repository(Path(sys.argv[1]))
for number in itertools.count():
    repository.change_policy("colours", lambda policy: promoted(policy, 1 + number % 2, 1))
    print(number, flush=True)
"""


@pytest.mark.process
@pytest.mark.parametrize("lines", [1, 2, 5, 11, 40])
def test_process_killed_during_promotion_leaves_a_valid_unlocked_policy(
    tmp_path: Path, lines: int
) -> None:
    for version in (1, 2):
        write_model(tmp_path, version=version)
    with subprocess.Popen(
        [sys.executable, "-c", PROMOTE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        for _ in range(lines):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    repository = Repository(tmp_path)
    assert repository.policy("colours").default in {1, 2}
    assert repository.scan()["colours"].versions.keys() == {1, 2}
    assert repository.change_policy("colours", lambda p: promoted(p, None, 1)).default == "latest"


def test_replaced_file_is_world_readable(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace_file(file, b"old")
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o644
