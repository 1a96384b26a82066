"""Built-in models, each added to a repository once and atomically.

Every start checks whether this was done; builders are imported only if a model is built.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from schemas.operator_error import OperatorError
from service.core.repository.atomic_files import locked, replace_file
from service.core.repository.publishing import Draft, Publish, drafting
from service.core.repository.repository import ModelRefused

BUNDLED_MODELS = Path(__file__).parents[3] / "models"
SEEDED_FILE = ".built-in"
"""File of the models added to a repository: one that is removed later is not added again."""

IMAGENET, INT8, EVERYDAY, TURBOFAN = "imagenet", "imagenet-int8", "everyday", "turbofan"
LANGUAGE = "language"
VERSION = 1
SEEDS = (IMAGENET, EVERYDAY)
"""Order of seeding: the first becomes the default model, since it is the only one then."""
GOLDEN = BUNDLED_MODELS / EVERYDAY / "1/golden"
"""Pictures drawn for ``everyday``, usable with any classifier."""

Tell = Callable[[str], None]
Check = Callable[[Path], object]


class NotBuiltIn(OperatorError):
    """The model is not built in."""


class ExtraMissing(OperatorError):
    """The model needs an optional package that is not installed."""


def is_seeded(repository: Path) -> bool:
    """Return whether every built-in model was added to a repository at some time."""
    return _seeded(repository) >= set(SEEDS)


def seed(repository: Path, check: Check, tell: Tell, publish: Publish = Draft.publish) -> None:
    """Add the built-in models that a repository has never had.

    A model that cannot be built is reported and retried at the next start; the others serve.

    Args:
        check: raises unless the version in a folder can be served.
        tell: callback for lines to the operator.

    Raises:
        OSError: the repository cannot be written.
    """
    repository.mkdir(parents=True, exist_ok=True)
    missing = [name for name in SEEDS if name not in _seeded(repository)]
    for name in missing:
        if not (repository / name).exists():
            try:
                put(name, repository, check, tell, publish)
            except OperatorError as error:
                if (repository / name).exists():  # another process was quicker
                    _note(repository, name)
                else:
                    tell(f"The model '{name}' cannot be built: {error}. The other models serve.")
                continue
        _note(repository, name)


def put(
    name: str,
    repository: Path,
    check: Check,
    tell: Tell,
    publish: Publish = Draft.publish,
) -> Path:
    """Build a model in a repository; return the folder of the version.

    Raises:
        NotBuiltIn: the model is not built in.
        ExtraMissing: it needs an optional package.
        ModelRefused: the model exists already or fails its checks, or the disk is full.
        WeightsMissing, UnsafeWeights, WrongWeights: see ``imagenet.building``.
    """
    write = _WRITERS.get(name)
    if write is None:
        message = f"'{name}' is not a built-in model; there are {', '.join(_WRITERS)}"
        raise NotBuiltIn(message)
    with drafting(repository, name, VERSION) as draft:
        write(draft.folder, tell)
        check(draft.folder)
        return publish(draft, None)


def _write_imagenet(folder: Path, tell: Tell) -> None:
    from service.modeltools.imagenet import building

    weights = building.weights_file()
    tell("Building the model 'imagenet' from its weights (once, a few seconds) ...")
    building.write_version(folder, weights, GOLDEN)


def _write_int8(folder: Path, tell: Tell) -> None:
    from service.modeltools.imagenet import building, int8

    weights = building.weights_file()
    tell("Building the model 'imagenet-int8' from its weights (some ten seconds) ...")
    int8.write_int8_version(folder, weights, GOLDEN)


def _write_everyday(folder: Path, _: Tell) -> None:
    shutil.copytree(BUNDLED_MODELS / EVERYDAY / "1", folder, dirs_exist_ok=True)


def _write_turbofan(folder: Path, _: Tell) -> None:
    shutil.copytree(BUNDLED_MODELS / TURBOFAN / "1", folder, dirs_exist_ok=True)


def _write_language(folder: Path, _: Tell) -> None:
    if find_spec("tokenizers") is None:
        raise ExtraMissing("the model 'language' takes text: pip install 'potoo[text]'")
    shutil.copytree(BUNDLED_MODELS / LANGUAGE / "1", folder, dirs_exist_ok=True)


_WRITERS: dict[str, Callable[[Path, Tell], None]] = {
    IMAGENET: _write_imagenet,
    EVERYDAY: _write_everyday,
    INT8: _write_int8,
    TURBOFAN: _write_turbofan,
    LANGUAGE: _write_language,
}


def _seeded(repository: Path) -> set[str]:
    try:
        return set((repository / SEEDED_FILE).read_text("utf-8").split())
    except FileNotFoundError:
        return set()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{repository / SEEDED_FILE} cannot be read: {error}"
        raise ModelRefused(message) from error


def _note(repository: Path, name: str) -> None:
    with locked(repository):
        names = sorted(_seeded(repository) | {name})
        replace_file(repository / SEEDED_FILE, ("\n".join(names) + "\n").encode())
