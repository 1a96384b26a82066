"""Publishing and removing versions is atomic, also on failures and kills."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.serving import REPOSITORY_FILE, ServingPolicy
from service.core.repository.publishing import drafting, remove
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import with_version
from service.core.repository.version_files import read_manifest
from tests.support.models.tiny_model import write_model


def fill(folder: Path, spare: Path) -> None:
    """Write the files of a version."""
    source = write_model(spare, version=int(folder.name))
    shutil.copytree(source, folder, dirs_exist_ok=True)


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def spare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spare")


def test_version_is_invisible_until_published(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    repository = Repository(tmp_path)
    with drafting(tmp_path, "colours") as draft:
        assert draft.version == 2
        fill(draft.folder, spare)
        assert list(repository.versions("colours")) == [1]
        assert draft.publish() == tmp_path / "colours/2"
        assert list(repository.versions("colours")) == [1, 2]
    assert read_manifest(tmp_path / "colours/2").version == 2
    assert list(tmp_path.glob(".*")) == []


def test_first_version_creates_the_repository(tmp_path: Path, spare: Path) -> None:
    root = tmp_path / "not/there/yet"
    with drafting(root, "colours", 7) as draft:
        fill(draft.folder, spare)
        draft.publish()
    assert Repository(root).versions("colours") == {7: root / "colours/7"}


def test_policy_changes_before_its_version_appears(tmp_path: Path, spare: Path) -> None:
    seen: list[bool] = []

    def change(policy: ServingPolicy) -> ServingPolicy:
        seen.append((tmp_path / "colours/1").exists())
        return policy.model_copy(update={"enabled": False})

    with drafting(tmp_path, "colours") as draft:
        fill(draft.folder, spare)
        draft.publish(change)
    assert seen == [False]
    assert not Repository(tmp_path).policy("colours").enabled


def test_conflicting_version_leaves_the_policy_unchanged(tmp_path: Path, spare: Path) -> None:
    with drafting(tmp_path, "colours") as draft:
        fill(draft.folder, spare)
        write_model(tmp_path)
        with pytest.raises(ModelRefused, match="a version 1 of 'colours' already"):
            draft.publish(lambda policy: policy.model_copy(update={"enabled": False}))
    assert Repository(tmp_path).policy("colours").enabled


def test_abandoned_draft_leaves_no_files(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match="changed my mind"), drafting(tmp_path, "new") as draft:
        fill_and_fail(draft.folder)
    assert everything(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["colours"]
    assert spare.exists()


def fill_and_fail(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"half")
    raise ValueError("changed my mind")


def test_incomplete_model_cannot_be_published(tmp_path: Path, spare: Path) -> None:
    with drafting(tmp_path, "colours") as draft:
        fill(draft.folder, spare)
        whole = (draft.folder / "model.onnx").read_bytes()
        (draft.folder / "model.onnx").write_bytes(whole[:-1])
        with pytest.raises(ModelRefused, match="manifest field sha256"):
            draft.publish()
        (draft.folder / "model.onnx").unlink()
        with pytest.raises(ModelRefused, match=r"No such file or directory: model\.onnx"):
            draft.publish()
    assert Repository(tmp_path).names() == []


def test_existing_version_is_never_replaced(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    with (
        pytest.raises(ModelRefused, match="a version 1 of 'colours' already"),
        drafting(tmp_path, "colours", 1),
    ):
        pass
    with drafting(tmp_path, "colours", 2) as slow:
        fill(slow.folder, spare)
        with drafting(tmp_path, "colours", 2) as quick:
            fill(quick.folder, spare)
            quick.publish()
        with pytest.raises(ModelRefused, match="a version 2 of 'colours' already"):
            slow.publish()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "-x", "a b", "x" * 65])
def test_invalid_model_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelRefused, match="cannot be the name"), drafting(tmp_path, name):
        pass
    assert list(tmp_path.iterdir()) == []


def test_repository_file_name_is_refused_as_a_model_name(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelRefused, match="cannot be the name"),
        drafting(tmp_path, REPOSITORY_FILE),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def published(root: Path, spare: Path, name: str) -> None:
    with drafting(root, name) as draft:
        source = write_model(spare, None, name=name, version=draft.version)
        shutil.copytree(source, draft.folder, dirs_exist_ok=True)
        draft.publish()


def test_publishing_a_second_model_keeps_the_first_as_default(tmp_path: Path, spare: Path) -> None:
    repository = Repository(tmp_path)
    for name, chosen in (("mine", None), ("mine", None), ("aaa", "mine"), ("zzz", "mine")):
        published(tmp_path, spare, name)
        assert repository.chosen_model() == chosen


def test_stored_choice_is_kept_when_models_are_published(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    (tmp_path / REPOSITORY_FILE).write_text('{"default_model": "gone"}')
    published(tmp_path, spare, "aaa")
    assert Repository(tmp_path).chosen_model() == "gone"


def test_publishing_to_several_models_chooses_no_default(tmp_path: Path, spare: Path) -> None:
    for name in ("colours", "other"):
        write_model(tmp_path, name=name)
    published(tmp_path, spare, "aaa")
    assert not (tmp_path / REPOSITORY_FILE).exists()


def test_unreadable_choice_refuses_new_models(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    (tmp_path / REPOSITORY_FILE).write_text("{")
    with pytest.raises(ModelRefused, match=REPOSITORY_FILE):
        published(tmp_path, spare, "aaa")
    assert Repository(tmp_path).names() == ["colours"]


def test_last_version_of_the_chosen_model_cannot_be_removed(tmp_path: Path) -> None:
    for version in (1, 2):
        write_model(tmp_path, version=version)
    write_model(tmp_path, name="other")
    repository = Repository(tmp_path)
    repository.choose_model("colours")
    remove(repository, "colours", 1)
    with pytest.raises(ModelRefused, match="choose another model first"):
        remove(repository, "colours", 2)
    assert list(repository.versions("colours")) == [2]
    repository.choose_model("other")
    remove(repository, "colours", 2)
    assert repository.names() == ["other"]


def test_version_is_removed_atomically_with_its_policy_entry(tmp_path: Path) -> None:
    for version in (1, 2):
        write_model(tmp_path, version=version)
    repository = Repository(tmp_path)
    repository.change_policy("colours", lambda policy: with_version(policy, 1))
    remove(repository, "colours", 1)
    assert list(repository.versions("colours")) == [2]
    assert repository.policy("colours").load == ()
    assert list(tmp_path.glob(".*")) == []
    with pytest.raises(ModelRefused, match="no version 1"):
        remove(repository, "colours", 1)


PUBLISH_AND_WAIT = """
import sys, time, shutil
from pathlib import Path
from service.core.repository.publishing import drafting
root, source = map(Path, sys.argv[1:])
with drafting(root, "colours", 2) as draft:
    shutil.copytree(source, draft.folder, dirs_exist_ok=True)
    print("filled", flush=True)
    sys.stdin.readline()
    draft.publish()
    print("published", flush=True)
    sys.stdin.readline()
"""


def publisher(root: Path, spare: Path) -> subprocess.Popen[str]:
    """A process that writes a draft, reports it, and waits for a line before it publishes."""
    source = write_model(spare, version=2)
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH_AND_WAIT, str(root), str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "filled\n"
    return process


@pytest.mark.process
def test_draft_of_a_killed_process_is_removed_by_the_next(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    with publisher(tmp_path, spare) as process:
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".draft-*"))) == 1
    assert {name: list(shelf.versions) for name, shelf in Repository(tmp_path).scan().items()} == {
        "colours": [1]
    }
    with drafting(tmp_path, "colours") as draft:
        assert draft.version == 2
        assert list(tmp_path.glob(".draft-*")) == [draft.folder.parent.parent]
    assert list(tmp_path.glob(".draft-*")) == []


@pytest.mark.process
def test_process_killed_after_publishing_leaves_a_complete_version(
    tmp_path: Path, spare: Path
) -> None:
    write_model(tmp_path)
    with publisher(tmp_path, spare) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "published\n"
        process.send_signal(signal.SIGKILL)
    assert read_manifest(tmp_path / "colours/2").version == 2


@pytest.mark.process
def test_draft_of_a_running_process_is_kept(tmp_path: Path, spare: Path) -> None:
    write_model(tmp_path)
    with publisher(tmp_path, spare) as process:
        with drafting(tmp_path, "colours", 3):
            assert len(list(tmp_path.glob(".draft-*"))) == 2
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout
        assert process.stdout.readline() == "published\n"
        process.stdin.close()
    assert list(Repository(tmp_path).versions("colours")) == [1, 2]


def test_full_disk_is_reported_and_changes_nothing(small_disk: Path, spare: Path) -> None:
    write_model(small_disk)
    before = everything(small_disk)
    with (  # noqa: PT012 - it fills up in the middle
        pytest.raises(ModelRefused, match="is full; nothing was changed"),
        drafting(small_disk, "colours") as draft,
    ):
        fill(draft.folder, spare)
        (draft.folder / "weights").write_bytes(b"\0" * 2**20)
    assert everything(small_disk) == before
    assert list(Repository(small_disk).versions("colours")) == [1]
    with drafting(small_disk, "colours") as draft:
        fill(draft.folder, spare)
        draft.publish()
    assert list(Repository(small_disk).versions("colours")) == [1, 2]
