"""Runs on the disk: a folder each, with its state, the parameters, the moments and waiting pushes.

Files of tensors have their version or digest in their names, and are written before the state that
names them, which is replaced atomically: after a kill a run goes on from the last accepted push.
Every method blocks.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from observability.logs.logging import get_logger
from schemas.errors import Conflict, NotFound, NotReady
from schemas.tensor_file import Stored, Tensors, decode, encode, whole
from service.core.repository.atomic_files import locked, replace_file
from service.core.repository.publishing import DISK_FULL
from service.parameters.records import StoredRun

FOLDER = Path("parameters")
"""In the data folder."""
_STATE, _TENSORS, _REMOVED = "run.json", ".tensors", ".removed-"
_VALUES, _MOMENTS, _PUSH = "values", "moments", "push"
_FILE_MODE = 0o600


class ParameterStore:
    """Runs by name. Several processes may share the folder."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / FOLDER

    def all(self) -> list[StoredRun]:
        """Return all runs, by name; one that cannot be read is logged and left out."""
        if not self._root.is_dir():
            return []
        found = []
        for folder in sorted(self._root.iterdir()):
            if not folder.name.startswith(".") and (folder / _STATE).is_file():
                try:
                    found.append(self.get(folder.name))
                except (NotFound, NotReady):
                    get_logger("parameters").warning("run not read", run=folder.name)
        return found

    def get(self, name: str) -> StoredRun:
        """Return the state of a run.

        Raises:
            NotFound: there is none.
            NotReady: its state cannot be read.
        """
        try:
            text = (self._root / name / _STATE).read_bytes()
        except FileNotFoundError:
            message = f"There is no run '{name}'."
            raise NotFound(message) from None
        try:
            return StoredRun.model_validate_json(text)
        except ValidationError as error:
            message = "The state of the run cannot be read."
            raise NotReady(message) from error

    def add(self, run: StoredRun, most: int) -> None:
        """Add a run.

        Raises:
            Conflict: the name is taken, or there are ``most`` already.
            NotReady: the disk is full.
        """
        with self.writing():
            folder = self._root / run.options.name
            if (folder / _STATE).exists():
                message = f"There is a run '{run.options.name}' already."
                raise Conflict(message)
            if len(self.all()) >= most:
                message = f"There are {most} runs already."
                raise Conflict(message)
            folder.mkdir(mode=0o700, exist_ok=True)
            self.save(run)

    def remove(self, name: str) -> None:
        """Remove a run with its parameters.

        Raises:
            NotFound: there is none.
        """
        with self.writing():
            self.get(name)
            removed = self._root / f"{_REMOVED}{name}"
            shutil.rmtree(removed, ignore_errors=True)
            (self._root / name).rename(removed)
            shutil.rmtree(removed, ignore_errors=True)

    def values(self, run: StoredRun) -> bytes:
        """Return the parameters of a run's version, as tensors.

        Raises:
            NotFound: there are none, or not any more.
        """
        try:
            return self._file(run, _VALUES, str(run.version)).read_bytes()
        except FileNotFoundError:
            message = "The run has no parameters of this version: ask again, or send the first."
            raise NotFound(message) from None

    def moments(self, run: StoredRun) -> Tensors:
        """Return the moments of the optimiser; empty before the first step."""
        try:
            return decode(self._file(run, _MOMENTS, str(run.version)).read_bytes())
        except FileNotFoundError:
            return {}

    def push(self, run: StoredRun, digest: str) -> Tensors:
        """Return the gradients of a waiting push."""
        return whole(decode(self._file(run, _PUSH, digest[:20]).read_bytes()))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Exclude other writers, for ``keep_push``, ``keep_version`` and ``save``.

        Raises:
            NotReady: the disk is full; nothing changed.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._root):
                yield
        except OSError as error:
            if error.errno in DISK_FULL:
                message = "The disk is full: nothing was changed."
                raise NotReady(message) from error
            raise

    def keep_push(self, run: StoredRun, push: bytes) -> str:
        """Write a push that waits; return its digest."""
        digest = hashlib.sha256(push).hexdigest()
        replace_file(self._file(run, _PUSH, digest[:20]), push, _FILE_MODE)
        return digest

    def keep_version(self, run: StoredRun, values: Stored, moments: Stored) -> None:
        """Write the parameters and moments of the version that ``run`` has."""
        replace_file(self._file(run, _VALUES, str(run.version)), encode(values), _FILE_MODE)
        if moments:
            replace_file(self._file(run, _MOMENTS, str(run.version)), encode(moments), _FILE_MODE)

    def save(self, run: StoredRun) -> None:
        """Replace the state, and remove files that it does not name."""
        folder = self._root / run.options.name
        replace_file(folder / _STATE, run.model_dump_json().encode(), _FILE_MODE)
        kept = {self._file(run, kind, str(run.version)) for kind in (_VALUES, _MOMENTS)}
        kept |= {self._file(run, _PUSH, push.digest[:20]) for push in run.waiting}
        for file in folder.glob(f"*{_TENSORS}"):
            if file not in kept:
                file.unlink(missing_ok=True)

    def _file(self, run: StoredRun, kind: str, part: str) -> Path:
        return self._root / run.options.name / f"{kind}-{part}{_TENSORS}"
