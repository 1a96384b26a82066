"""Atomic publishing and removal of model versions.

A version is written to a draft folder beside the models, whose name begins with a dot and which all
readers ignore; checked, synced to the disk, and put in place by one ``rename``. The next
publication removes draft folders of processes that died.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas.models import ModelName
from schemas.serving import REPOSITORY_FILE, ServingPolicy
from service.core.repository.atomic_files import locked, sync
from service.core.repository.repository import ModelRefused, Repository, children, rewrite_policy
from service.core.repository.serving_policy import without_version
from service.core.repository.version_files import read_manifest

PolicyChange = Callable[[ServingPolicy], ServingPolicy]
_PREFIX = ".draft-"
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_NAME: TypeAdapter[str] = TypeAdapter(ModelName)


class Draft:
    """A version that is not visible yet; the caller writes its files into ``folder``."""

    def __init__(self, root: Path, workplace: Path, name: str, version: int) -> None:
        self.name, self.version = name, version
        # The folder names are the final ones, because the manifest is checked against them.
        self.folder = workplace / name / str(version)
        self.folder.mkdir(parents=True)
        self._root = root

    def publish(self, change: PolicyChange | None = None) -> Path:
        """Check the version and move it into place atomically; return its folder.

        A model that is the default because it is the only one is chosen first, so that it stays the
        default.

        Args:
            change: applied to the model's policy before the version becomes visible.

        Raises:
            ModelRefused: the manifest or the digest is wrong, or the version exists by now.
        """
        read_manifest(self.folder)
        _sync_tree(self.folder)
        place = self._root / self.name / str(self.version)
        place.parent.mkdir(exist_ok=True)
        with locked(self._root), locked(place.parent):
            if place.exists():
                message = f"there is a version {self.version} of '{self.name}' already"
                raise ModelRefused(message)
            Repository(self._root).pin_sole_model(self.name)
            if change is not None:
                rewrite_policy(place.parent, change)
            self.folder.rename(place)
        sync(place.parent)
        sync(self._root)
        return place


class DiskFull(ModelRefused):
    """Error for a version that has no room on the disk; nothing was changed."""


Publish = Callable[[Draft, PolicyChange | None], Path]
"""Publish a draft as ``Draft.publish`` does; return the folder of the version."""


@contextmanager
def drafting(root: Path, name: str, version: int | None = None) -> Iterator[Draft]:
    """Provide a draft of a version, removed at the end unless it was published.

    Args:
        root: the repository; created if it is missing.
        version: None for the next number.

    Raises:
        ModelRefused: the name is invalid, the version exists, or the disk is full.
    """
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        message = f"'{name}' cannot be the name of a model: letters, digits, '.', '_' and '-'"
        raise ModelRefused(message) from error
    if name == REPOSITORY_FILE:
        message = f"'{name}' cannot be the name of a model: it is a file of the repository"
        raise ModelRefused(message)
    with _disk_full_refused(root):
        root.mkdir(parents=True, exist_ok=True)
        existing = _numbers(root, name)
        number = version or max(existing, default=0) + 1
        if number in existing:
            message = f"there is a version {number} of '{name}' already"
            raise ModelRefused(message)
        with _workplace(root) as workplace:
            yield Draft(root, workplace, name, number)


def remove(repository: Repository, name: str, version: int) -> None:
    """Remove a version atomically.

    Raises:
        ModelRefused: there is no such version, or it is the last one of the chosen default model.
    """
    with _workplace(repository.root) as workplace, locked(repository.root):
        place = repository.version(name, version)
        require_removable(repository, name, version)
        # A rollback could not return to it anyway, and the number may be reused.
        repository.change_policy(name, lambda policy: without_version(policy, version))
        place.rename(workplace / place.name)
        sync(place.parent)


def require_removable(
    repository: Repository, name: str, version: int, setting: str | None = None
) -> None:
    """Require that a version is not the last one of the default model.

    Args:
        setting: ``default_model`` of the configuration.

    Raises:
        ModelRefused: it is the last version of the model that is set or chosen as the default.
    """
    if list(repository.versions(name)) != [version]:
        return
    if name == setting:
        message = f"the setting default_model names '{name}', and this is its last version"
        raise ModelRefused(message)
    if name == repository.chosen_model():
        message = (
            f"'{name}' is the default model, and this is its last version: choose "
            "another model first, with 'potoo models default NAME'"
        )
        raise ModelRefused(message)


@contextmanager
def _workplace(root: Path) -> Iterator[Path]:
    """Provide a folder that readers ignore, locked while this process uses it."""
    with locked(root):
        _remove_abandoned_drafts(root)
        workplace = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
        descriptor = os.open(workplace, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield workplace
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
        os.close(descriptor)


def _remove_abandoned_drafts(root: Path) -> None:
    """Remove draft folders of dead processes; those locked by live processes stay."""
    for leftover in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(descriptor)


def _numbers(root: Path, name: str) -> list[int]:
    folder = root / name
    if not folder.is_dir():
        return []
    return [int(path.name) for path in children(folder) if path.name.isdecimal()]


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


@contextmanager
def _disk_full_refused(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f"the disk of {root} is full; nothing was changed"
            raise DiskFull(message) from error
        raise
