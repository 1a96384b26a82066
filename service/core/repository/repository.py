"""The model repository on disk: versions side by side, a policy for each model and one for all.

::

    models/repository.json
    models/<name>/serving.json
    models/<name>/<version>/{model.onnx, manifest.json, golden/, labels.txt}

Names that callers send are looked up among the folders and never joined to a path. Names that begin
with a dot are ignored: foreign files, or drafts (see ``publishing``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.operator_error import OperatorError, first_fault
from schemas.serving import POLICY_FILE, REPOSITORY_FILE, RepositoryPolicy, ServingPolicy
from service.core.repository.atomic_files import locked, replace_file

_MAX_POLICY_BYTES = 64 * 2**10

Policy = TypeVar("Policy", bound=BaseModel)
Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, mtime (ns), size and inode of every file of a version; a change means another model."""


class ModelRefused(OperatorError):
    """Error for a model that cannot be served; the message names the folder and the field."""


class NoSuchModel(ModelRefused):
    """Error for a model that does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no model '{name}'")


class NoSuchVersion(ModelRefused):
    """Error for a version that does not exist, of a model that does."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"there is no version {number} of the model '{name}'")


@dataclass(frozen=True, slots=True)
class RepositoryEntry:
    """The contents of one model's folder; ``fault``: why its policy cannot be read, or empty."""

    policy: ServingPolicy | None
    fault: str
    versions: dict[int, Fingerprint]


class Repository:
    """A repository folder: models, versions and policies. Every method blocks for the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the names of the models that have at least one version.

        Raises:
            ModelRefused: if the folder cannot be read.
        """
        return sorted(folder.name for folder in children(self.root) if _versions(folder))

    def folder(self, name: str) -> Path:
        """Return a model's folder.

        Raises:
            NoSuchModel: there is no such model.
        """
        for folder in children(self.root):
            if folder.name == name and _versions(folder):
                return folder
        raise NoSuchModel(name)

    def versions(self, name: str) -> dict[int, Path]:
        """Return the folders of a model's versions by number, the lowest first."""
        return _versions(self.folder(name))

    def version(self, name: str, number: int) -> Path:
        """Return the folder of one version.

        Raises:
            NoSuchModel: there is no such model.
            NoSuchVersion: there is no such version of it.
        """
        found = self.versions(name).get(number)
        if found is None:
            raise NoSuchVersion(name, number)
        return found

    def policy(self, name: str) -> ServingPolicy:
        """Read the serving policy of a model.

        Raises:
            ModelRefused: the policy cannot be read; the message names the field.
        """
        return _read_policy(self.folder(name) / POLICY_FILE, ServingPolicy)

    def change_policy(
        self, name: str, change: Callable[[ServingPolicy], ServingPolicy]
    ) -> ServingPolicy:
        """Replace a model's policy atomically by the result of ``change``; return the new policy.

        Concurrent writers take turns. A reader, or a crash, sees the old policy or the new one.

        Raises:
            ModelRefused: there is no such model, or its policy cannot be read.
            OSError: the policy cannot be written; the old one stays.
        """
        folder = self.folder(name)
        with locked(folder):
            return rewrite_policy(folder, change)

    def chosen_model(self) -> str | None:
        """Return the stored choice of the default model, which may not exist.

        Raises:
            ModelRefused: the repository's policy cannot be read; the message names the field.
        """
        return _read_policy(self.root / REPOSITORY_FILE, RepositoryPolicy).default_model

    def choose_model(self, name: str | None) -> None:
        """Store the choice of the default model; None removes the choice.

        Raises:
            ModelRefused: there is no such model, or the repository's policy cannot be read.
            OSError: the policy cannot be written; the old one stays.
        """
        with locked(self.root):
            if name is not None:
                self.folder(name)
            self._store_choice(name)

    def pin_sole_model(self, newcomer: str) -> None:
        """Store the only model as the choice before a second model is added.

        The caller holds the repository's lock, and puts ``newcomer`` in place under it.

        Raises:
            ModelRefused: the repository, or its policy, cannot be read.
            OSError: the policy cannot be written.
        """
        names = self.names()
        if len(names) == 1 and names != [newcomer] and self.chosen_model() is None:
            self._store_choice(names[0])

    def _store_choice(self, name: str | None) -> None:
        file = self.root / REPOSITORY_FILE
        old = _read_policy(file, RepositoryPolicy)
        if old.default_model != name:
            _write_policy(file, old.model_copy(update={"default_model": name}))

    def scan(self) -> dict[str, RepositoryEntry]:
        """Return every model by name, sorted; cheap enough to be called every second.

        Raises:
            ModelRefused: if the folder cannot be read.
        """
        entries = {folder.name: _read_entry(folder) for folder in children(self.root)}
        return {name: entry for name, entry in sorted(entries.items()) if entry.versions}

    def entry(self, name: str) -> RepositoryEntry:
        """Return one model as ``scan`` does.

        Raises:
            NoSuchModel: there is no such model.
        """
        return _read_entry(self.folder(name))


def rewrite_policy(folder: Path, change: Callable[[ServingPolicy], ServingPolicy]) -> ServingPolicy:
    """Change a policy as ``Repository.change_policy``; the caller holds the folder's lock."""
    old = _read_policy(folder / POLICY_FILE, ServingPolicy)
    new = change(old)
    if new != old:
        _write_policy(folder / POLICY_FILE, new)
    return new


def children(folder: Path) -> list[Path]:
    """List a folder, except names that begin with a dot.

    Raises:
        ModelRefused: if the folder cannot be read.
    """
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        message = f"models: cannot read the model folder {folder}: {error.strerror}"
        raise ModelRefused(message) from error


def _read_entry(folder: Path) -> RepositoryEntry:
    versions = {number: _fingerprint(path) for number, path in _versions(folder).items()}
    if not versions:
        return RepositoryEntry(None, "", {})
    try:
        return RepositoryEntry(_read_policy(folder / POLICY_FILE, ServingPolicy), "", versions)
    except ModelRefused as error:
        return RepositoryEntry(None, str(error), versions)


def _versions(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    found = {
        int(path.name): path
        for path in children(folder)
        # Canonical decimal only, so that no version has two folders.
        if path.name.isascii() and path.name.isdecimal() and path.name[0] != "0" and path.is_dir()
    }
    return dict(sorted(found.items()))


def _read_policy(file: Path, kind: type[Policy]) -> Policy:
    """Read a policy file; without the file, return the default policy."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_POLICY_BYTES + 1)
        if len(text) > _MAX_POLICY_BYTES:
            message = f"{file} is larger than 64 KiB"
            raise ModelRefused(message)
        return kind.model_validate_json(text)
    except FileNotFoundError:
        return kind()
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise ModelRefused(message) from error
    except ValidationError as error:
        message = f"{file}: {first_fault(error, 'policy')}"
        raise ModelRefused(message) from error


def _write_policy(file: Path, policy: BaseModel) -> None:
    text = policy.model_dump_json(indent=2, exclude_defaults=True) + "\n"
    replace_file(file, text.encode())


def _fingerprint(folder: Path) -> Fingerprint:
    facts = []
    with contextlib.suppress(ModelRefused):  # gone since it was listed
        for path in sorted(children(folder)):
            with contextlib.suppress(OSError):
                found = path.stat()
                facts.append((path.name, found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(facts)
