"""``potoo models`` add, pull, list, verify, promote, rollback, remove."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.models import ModelManifest
from schemas.serving import POLICY_FILE
from service.core.repository.repository import Repository
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import LABELS, colour_graph, write_model
from tests.support.servers.file_server import FileServer, file_server
from tests.unit.cli.conftest import Potoo, failed

MODEL = colour_graph().SerializeToString()
DIGEST = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with two valid versions and a broken newest one."""
    for version in (1, 2):
        write_model(tmp_path / "models", None, version=version)
    write_model(tmp_path / "models", None, version=3, sha256="0" * 64)
    return tmp_path / "models"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS))
    return file


@pytest.fixture
def files() -> Iterator[FileServer]:
    with file_server(MODEL) as server:
        yield server


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_added_model_is_verified_and_assumptions_are_noted(
    potoo: Potoo, tmp_path: Path, labels: Path
) -> None:
    (tmp_path / "some.onnx").write_bytes(MODEL)
    (tmp_path / "red.png").write_bytes(plain(RED))
    result = potoo(
        *("models", "add", tmp_path / "some.onnx", "--name", "mine", "--labels", labels),
        *("--like", "0-1", "--golden", tmp_path / "red.png", "--models", tmp_path / "new"),
    )
    assert result.exit_code == 0, result.output
    *notes, last = result.stdout.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert last.startswith(f"added {tmp_path / 'new/mine/1'}: 3 classes")
    verified = potoo("models", "verify", "--models", tmp_path / "new")
    assert rows(verified.stdout) == [["mine", "1", "ok", f"3 classes, {DIGEST[:12]}"]]


def test_add_without_a_preset_is_reported_in_one_line(
    potoo: Potoo, tmp_path: Path, labels: Path
) -> None:
    (tmp_path / "some.onnx").write_bytes(MODEL)
    arguments = ("models", "add", tmp_path / "some.onnx", "--name", "mine", "--labels", labels)
    failed(potoo(*arguments, "--models", tmp_path / "new"), "give --like")
    assert not list(tmp_path.glob("new/mine/*")), "a version was added"


def test_versions_are_listed_with_their_states(potoo: Potoo, models: Path) -> None:
    (models / "colours" / POLICY_FILE).write_text('{"default": 1, "labels": {"stable": 2}}')
    found = rows(potoo("models", "list", "--models", models).stdout)
    assert [row[:4] for row in found] == [
        ["colours", "3", "FAILED", "-"],
        ["colours", "2", "ok", "stable,uncalibrated"],
        ["colours", "1", "ok", "default-model,default,uncalibrated"],
    ]
    assert "manifest field sha256" in found[0][5]


def test_every_version_is_verified(potoo: Potoo, models: Path) -> None:
    result = potoo("models", "verify", "--models", models)
    assert result.exit_code == 1
    assert [row[:3] for row in rows(result.stdout)] == [
        *(["colours", "3", "FAILED"], ["colours", "2", "ok"], ["colours", "1", "ok"])
    ]
    failed(potoo("models", "verify", "birds", "--models", models), "no model 'birds'")


def test_a_version_is_shown(potoo: Potoo, models: Path) -> None:
    for arguments, version in ((("--version", "1"), 1), ((), 2)):
        if version == 2:
            potoo("models", "promote", "colours", "2", "--models", models)
        shown = potoo("models", "show", "colours", *arguments, "--models", models).stdout
        assert ModelManifest.model_validate_json(shown).version == version


def test_version_is_promoted_and_rolled_back(potoo: Potoo, models: Path) -> None:
    told = potoo("models", "promote", "colours", "1", "--label", "stable", "--models", models)
    assert told.stdout == "colours: version 1 is the default\n"
    policy = Repository(models).policy("colours")
    assert (policy.default, policy.labels) == ("stable", {"stable": 1})
    told = potoo("models", "rollback", "colours", "--models", models)
    # It was the latest valid version; the newest one is broken.
    assert told.stdout == "colours: version 2 is the default\n"
    told = potoo("models", "promote", "colours", "latest", "--models", models)
    assert Repository(models).policy("colours").default == "latest"


def test_label_moves_without_changing_the_default(potoo: Potoo, models: Path) -> None:
    arguments = ("--label", "canary", "--keep-default", "--models", models)
    potoo("models", "promote", "colours", "1", *arguments)
    policy = Repository(models).policy("colours")
    assert (policy.default, policy.labels) == ("latest", {"canary": 1})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("colours", "3"), "manifest field sha256"),
        (("colours", "4"), "no version 4"),
        (("colours", "0"), "'0' is not a version"),
        (("colours", "newest"), "'newest' is not a version"),
        (("colours", "latest", "--label", "stable"), "without a label"),
        (("colours", "1", "--keep-default"), "--keep-default needs --label"),
        (("birds", "1"), "no model 'birds'"),
    ],
)
def test_invalid_promotion_changes_nothing(
    potoo: Potoo, models: Path, arguments: tuple[str, ...], says: str
) -> None:
    failed(potoo("models", "promote", *arguments, "--models", models), says)
    assert not (models / "colours" / POLICY_FILE).exists()


def test_invalid_label_is_refused(potoo: Potoo, models: Path) -> None:
    arguments = ("models", "promote", "colours", "1", "--label", "a/b", "--models", models)
    failed(potoo(*arguments), "labels")


def test_rollback_without_an_earlier_version_is_refused(potoo: Potoo, tmp_path: Path) -> None:
    write_model(tmp_path)
    failed(potoo("models", "rollback", "colours", "--models", tmp_path), "no earlier version")


def test_version_in_use_cannot_be_removed(potoo: Potoo, models: Path) -> None:
    def remove(version: int) -> str:
        result = potoo("models", "remove", "colours", str(version), "--models", models)
        if result.exit_code:
            failed(result, "")
        return result.stdout + result.stderr

    assert "version 2 of 'colours' is the default" in remove(2)
    potoo(
        "models", "promote", "colours", "1", "--label", "old", "--keep-default", "--models", models
    )
    assert "is labelled 'old'" in remove(1)
    assert remove(3) == "removed version 3 of colours\n"
    assert list(Repository(models).versions("colours")) == [1, 2]
    assert "no version 3" in remove(3)


@pytest.mark.parametrize("says_so", ["choice", "setting"])
def test_last_version_of_the_default_model_cannot_be_removed(
    potoo: Potoo, tmp_path: Path, says_so: str
) -> None:
    write_model(tmp_path / "models")
    write_model(tmp_path / "models", name="other")
    config = tmp_path / "potoo.toml"
    config.write_text('default_model = "colours"' if says_so == "setting" else "")
    if says_so == "choice":
        Repository(tmp_path / "models").choose_model("colours")
    arguments = ("models", "remove", "colours", "1", "--models", tmp_path / "models")
    failed(potoo(*arguments, "--config", config), "this is its last version")
    assert list(Repository(tmp_path / "models").versions("colours")) == [1]


# Pull


def test_pulled_model_is_verified_and_added(
    potoo: Potoo, tmp_path: Path, labels: Path, files: FileServer
) -> None:
    arguments = (
        "--name",
        "mine",
        "--labels",
        labels,
        "--like",
        "0-1",
        "--models",
        tmp_path / "new",
    )
    result = potoo("models", "pull", f"{files.url}/file", "--sha256", DIGEST, *arguments)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "new/mine/1/manifest.json").read_text())
    assert (manifest["sha256"], manifest["source"]) == (DIGEST, f"{files.url}/file")
    assert list((tmp_path / "new/.downloads").iterdir()) == []
    (added,) = map(json.loads, (tmp_path / "new/.audit.log").read_text().splitlines())
    assert (added["event"], added["model"], added["version"]) == ("model_added", "mine", 1)
    result = potoo("models", "pull", f"{files.url}/file", "--unpinned", *arguments)
    assert f"sha256 {DIGEST}\n" in result.stdout
    assert list(Repository(tmp_path / "new").versions("mine")) == [1, 2]


def test_download_with_wrong_digest_or_size_adds_nothing(
    potoo: Potoo, tmp_path: Path, labels: Path, files: FileServer
) -> None:
    arguments = (
        "--name",
        "mine",
        "--labels",
        labels,
        "--like",
        "0-1",
        "--models",
        tmp_path / "new",
    )
    pull = ("models", "pull", f"{files.url}/file", *arguments)
    failed(potoo(*pull), "--sha256")
    failed(potoo(*pull, "--sha256", "0" * 64), "has the digest")
    failed(potoo(*pull, "--sha256", DIGEST, "--max-bytes", "10"), "more than the 10 allowed")
    assert not (tmp_path / "new/mine").exists()


def test_catalogue_entry_with_labels_needs_only_its_name(
    potoo: Potoo, tmp_path: Path, files: FileServer, labels: Path
) -> None:
    (tmp_path / "new").mkdir()
    with file_server(labels.read_bytes()) as label_files:
        entry = {
            "url": f"{files.url}/file",
            "sha256": DIGEST,
            "like": "0-1",
            "labels_url": f"{label_files.url}/file",
            "labels_sha256": hashlib.sha256(labels.read_bytes()).hexdigest(),
            "licence": "MIT",
        }
        (tmp_path / "new/catalogue.json").write_text(json.dumps({"small": entry}))
        result = potoo("models", "pull", "small", "--name", "mine", "--models", tmp_path / "new")
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "new/mine/1/manifest.json").read_text())
    assert (manifest["labels"], manifest["licence"]) == (list(LABELS), "MIT")


def test_hugging_face_url_with_revision_is_pulled(
    potoo: Potoo,
    tmp_path: Path,
    labels: Path,
    files: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", files.url)
    arguments = (
        "--name",
        "mine",
        "--labels",
        labels,
        "--like",
        "0-1",
        "--models",
        tmp_path / "new",
    )
    result = potoo("models", "pull", "hf://org/repo/file@v1", "--sha256", DIGEST, *arguments)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "new/mine/1/manifest.json").read_text())
    assert manifest["source"] == "hf://org/repo/file@v1"
    assert files.paths == ["/org/repo/resolve/v1/file"]
